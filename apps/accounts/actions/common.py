"""What the actions on people share: their fields, how a person is found and locked, what is told of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from pydantic import AfterValidator, Field

from apps.accounts.models import Team, User
from apps.accounts.names import TeamName
from apps.core.actions import Call, Touch
from apps.core.errors import FieldProblem, InvalidInput, NotAllowed, NotFound

MAX_ID = 2**63 - 1
NAMES_SHOWN = 5


def by_django(validate: Any) -> AfterValidator:
    """Return Django's validator as one of Pydantic's."""

    def check(value: str) -> str:
        try:
            if value:
                validate(value)
        except ValidationError as error:
            raise ValueError(" ".join(error.messages)) from None
        return value

    return AfterValidator(check)


def tidy_names(names: Iterable[str]) -> list[str]:
    """Return names without blanks around them and without repeats, sorted."""
    return sorted({name.strip() for name in names if name.strip()})


Teams = Annotated[
    list[TeamName],
    AfterValidator(tidy_names),
    Field(default_factory=list, max_length=100, description="Teams by name; new ones are made."),
]
Rationale = Annotated[
    str,
    Field(min_length=1, max_length=2000, title="Why", json_schema_extra={"widget": "textarea"}),
]


def refuse_keys(call: Call[Any]) -> None:
    """Raise where a key, not a person, manages accounts: whoever got hold of it could keep access for ever."""
    if call.actor.api_key_prefix:
        raise NotAllowed("A key cannot manage users. Sign in, or use manage.py act on the machine itself.")


def require_a_present_admin(call: Call[Any]) -> None:
    """Raise unless a person, or the system, asks who may still manage users now that the admins are locked.

    Whoever asks was read before the wait for the lock: meanwhile another admin may have demoted or deactivated them.
    """
    refuse_keys(call)
    user = call.actor.user
    if user is None:
        return
    now = User.objects.filter(pk=user.pk).first()
    if now is None or not now.has_perm("accounts.manage_users"):
        raise NotAllowed("You no longer manage users: your account was changed while you asked.")


def find_user(username: str, *, lock: bool) -> User:
    """Return the person of that name; locked, no second change of them runs beside.

    Raises :class:`NotFound`.
    """
    users = User.objects.select_for_update() if lock else User.objects
    user = users.filter(username=username).first()
    if user is None:
        raise NotFound(f"There is no user called {username}.")
    return user


def lock_admins() -> None:
    """Lock all SRE admins, in one order: of two who demote each other, the second sees what the first did."""
    list(User.objects.filter(role=User.Role.SRE_ADMIN).order_by("pk").select_for_update())


def keep_an_admin(user: User, field: str) -> None:
    """Raise where nobody who can manage users would be left without this person."""
    if user.role != User.Role.SRE_ADMIN or not user.is_active:
        return
    if not User.objects.filter(role=User.Role.SRE_ADMIN, is_active=True).exclude(pk=user.pk).exists():
        raise InvalidInput(
            f"{user.get_username()} is the last SRE admin. Make somebody else one first.",
            fields=[FieldProblem(field, "would leave nobody who can manage users")],
        )


def teams_named(names: list[str]) -> list[Team]:
    """Return the teams of those names, making those that do not exist yet."""
    return [Team.objects.get_or_create(name=name)[0] for name in names]


def describe_user(user: User) -> dict[str, Any]:
    """Return what the audit trail keeps of a user."""
    return {
        "username": user.get_username(),
        "email": user.email,
        "role": user.role,
        "teams": sorted(user.teams.values_list("name", flat=True)),
        "is_active": user.is_active,
    }


def recorded(value: Any) -> dict[str, Any]:
    """Return what an audit entry keeps of before or after; empty where it keeps nothing."""
    return value or {}


def touch(count: int, one: str, many: str, names: Iterable[str]) -> list[Touch]:
    """Return a line of the preview, or none where nothing is touched."""
    return [Touch(count, one if count == 1 else many, list(names)[:NAMES_SHOWN])] if count else []
