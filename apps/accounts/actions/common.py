"""Common parts of the actions on people: fields, finding and locking a person, and audit records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypedDict

from django.core.exceptions import ValidationError
from pydantic import AfterValidator, Field

from apps.accounts.models import Team, User
from apps.accounts.names import TeamName
from apps.core.actions import Call, Touch
from apps.core.errors import FieldProblem, InvalidInput, NotAllowed, NotFound

MAX_ID = 2**63 - 1
NAMES_SHOWN = 5


def by_django(validate: Any) -> AfterValidator:
    """Return Django's validator as a Pydantic validator."""

    def check(value: str) -> str:
        try:
            if value:
                validate(value)
        except ValidationError as error:
            raise ValueError(" ".join(error.messages)) from None
        return value

    return AfterValidator(check)


def tidy_names(names: Iterable[str]) -> list[str]:
    """Return the names stripped, sorted and without repeats."""
    return sorted({name.strip() for name in names if name.strip()})


Teams = Annotated[
    list[TeamName],
    AfterValidator(tidy_names),
    Field(
        default_factory=list,
        max_length=100,
        description="Names of teams. Teams that do not exist are created.",
    ),
]
Rationale = Annotated[
    str,
    Field(min_length=1, max_length=2000, title="Why", json_schema_extra={"widget": "textarea"}),
]


def refuse_keys(call: Call[Any]) -> None:
    """Raise where a key and not a person manages accounts, because a stolen key could give lasting access."""
    if call.actor.api_key_prefix:
        raise NotAllowed("A key cannot manage users. Sign in, or use manage.py act on the machine itself.")


def require_a_present_admin(call: Call[Any]) -> None:
    """Raise unless the actor, a person or the system, may still manage users now that the admins are locked.

    The actor was read before the wait for the lock. Another admin may have demoted or deactivated them meanwhile.
    """
    refuse_keys(call)
    user = call.actor.user
    if user is None:
        return
    now = User.objects.filter(pk=user.pk).first()
    if now is None or not now.has_perm("accounts.manage_users"):
        raise NotAllowed("You can no longer manage users: your account was changed meanwhile.")


def find_user(username: str, *, lock: bool) -> User:
    """Return the person of that name. With ``lock``, no other change of them runs at the same time.

    Raises :class:`NotFound`.
    """
    users = User.objects.select_for_update() if lock else User.objects
    user = users.filter(username=username).first()
    if user is None:
        raise NotFound(f"There is no user called {username}.")
    return user


def lock_admins() -> None:
    """Lock all SRE admins in a fixed order, so that of two who demote each other the second sees the first change."""
    list(User.objects.filter(role=User.Role.SRE_ADMIN).order_by("pk").select_for_update())


def keep_an_admin(user: User, field: str) -> None:
    """Raise where this person is the last who can manage users."""
    if user.role != User.Role.SRE_ADMIN or not user.is_active:
        return
    if not User.objects.filter(role=User.Role.SRE_ADMIN, is_active=True).exclude(pk=user.pk).exists():
        raise InvalidInput(
            f"{user.get_username()} is the last SRE admin. Make somebody else one first.",
            fields=[FieldProblem(field, "would leave nobody who can manage users")],
        )


def teams_named(names: list[str]) -> list[Team]:
    """Return the teams of those names. Create the ones that do not exist."""
    return [Team.objects.get_or_create(name=name)[0] for name in names]


class UserRecord(TypedDict):
    """A user, as answers and the audit trail have them."""

    username: str
    email: str
    role: str
    teams: list[str]
    is_active: bool


class SessionsEnded(TypedDict):
    """How many sessions of a user ended."""

    username: str
    sessions_ended: int


def describe_user(user: User) -> UserRecord:
    """Return a user's record for the audit trail."""
    return {
        "username": user.get_username(),
        "email": user.email,
        "role": user.role,
        "teams": sorted(user.teams.values_list("name", flat=True)),
        "is_active": user.is_active,
    }


def recorded(value: Any) -> dict[str, Any]:
    """Return an audit entry's record of before or after; empty where there is none."""
    return value or {}


def touch(count: int, one: str, many: str, names: Iterable[str]) -> list[Touch]:
    """Return a line of the preview, or nothing where the count is 0."""
    return [Touch(count, one if count == 1 else many, list(names)[:NAMES_SHOWN])] if count else []
