"""The demo's users and their passwords, which only the owner of the data folder can read.

``<data folder>/demo_signins.json`` maps user names to passwords. If it is lost, new passwords are made.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.accounts.models import Team, User
from apps.core.demo_parts import ORIGIN
from apps.demo.queries import ORIGIN_REMOVED

FILE_NAME = "demo_signins.json"
#: Letters and digits that nobody confuses when they read a password from a terminal.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LENGTH = 4, 5


@dataclass(frozen=True, slots=True)
class DemoUser:
    """One demo user: the name (another one where somebody has it), role, team, and purpose."""

    name: str
    role: User.Role
    team: str
    words: str


USERS = (
    DemoUser("sre", User.Role.SRE_ADMIN, "", "decides on every service"),
    DemoUser("owner", User.Role.SERVICE_OWNER, "payments", "decides on the services of team payments"),
    DemoUser("auditor", User.Role.AUDITOR, "", "reads everything, the audit trail too"),
    DemoUser("viewer", User.Role.VIEWER, "", "reads"),
)


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a person needs to sign in as a demo user."""

    username: str
    password: str
    words: str


def path() -> Path:
    """Return the file of the passwords."""
    return Path(settings.DATA_DIR) / FILE_NAME


def new_password() -> str:
    """Return a password of 99 random bits in groups."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))


def ensure(*, reset: bool = False) -> list[SignIn]:
    """Create or restore the demo's users, and return their sign-ins.

    A user without a known password gets a new one; with ``reset`` everybody does. A user who was deactivated or chose
    another password is left alone and not listed.
    """
    known = {} if reset else _read()
    kept: dict[str, str] = {}
    with transaction.atomic():
        users = {planned.name: _user(planned) for planned in USERS}
        for user in users.values():
            if user.deactivated_at is not None:
                continue  # An SRE admin deactivated this person, and bringing the demo up to date must not undo that.
            if user.password_changed_at is not None and not reset:
                continue  # This person chose another password.
            password = known.get(user.username) if user.is_active and user.has_usable_password() else None
            if password is None:
                password = new_password()
                user.set_password(password)
                user.is_active, user.origin = True, ORIGIN
                user.must_change_password, user.password_changed_at = False, None
                user.save()
            kept[user.username] = password
    if kept != _read():
        _write(kept)
    return [
        SignIn(users[planned.name].username, kept[users[planned.name].username], planned.words)
        for planned in USERS
        if users[planned.name].username in kept
    ]


def demo_users() -> dict[str, User]:
    """Return the demo's active users by their planned name."""
    by_name = {user.username: user for user in User.objects.filter(origin=ORIGIN, is_active=True)}
    return {
        planned.name: by_name[name]
        for planned in USERS
        for name in (planned.name, f"demo-{planned.name}")
        if name in by_name
    }


def forget() -> None:
    """Delete the passwords."""
    path().unlink(missing_ok=True)


def _user(planned: DemoUser) -> User:
    """Return the user, created or restored. A name that somebody else has is not used."""
    user: User | None = None
    for name in (planned.name, f"demo-{planned.name}"):
        user = User.objects.filter(username=name).first()
        if user is None:
            user = User.objects.create(username=name, role=planned.role, origin=ORIGIN, is_active=False)
        if user.origin in (ORIGIN, ORIGIN_REMOVED):
            break
    assert user is not None
    if planned.team and not user.teams.filter(name=planned.team).exists():
        user.teams.set(Team.objects.filter(name=planned.team))
    return user


def _read() -> dict[str, str]:
    try:
        found = json.loads(path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(password) for name, password in found.items()} if isinstance(found, dict) else {}


def _write(passwords: dict[str, str]) -> None:
    """Replace the file atomically. Only its owner can ever read it."""
    path().parent.mkdir(parents=True, exist_ok=True)
    temporary = path().with_name(f"{FILE_NAME}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(passwords, file, indent=2)
        file.write("\n")
    temporary.replace(path())
