"""What a person may do about keys, and an SRE admin about people."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from pydantic import AfterValidator, Field

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, Team, User
from apps.accounts.names import NewUsername, TeamName, Username, refuse_taken
from apps.core import instants
from apps.core.actions import (
    Action,
    ActionInput,
    Call,
    Event,
    FieldChange,
    Outcome,
    Preview,
    Risk,
    Touch,
    register,
)
from apps.core.errors import BadRequest, FieldProblem, InvalidInput, NotAllowed, NotFound

MAX_KEY_DAYS = 3660
MAX_ID = 2**63 - 1
GENERATED_PASSWORD_BYTES = 18


def _django(validate: Any) -> AfterValidator:
    """Return Django's validator as one of Pydantic's."""

    def check(value: str) -> str:
        try:
            if value:
                validate(value)
        except ValidationError as error:
            raise ValueError(" ".join(error.messages)) from None
        return value

    return AfterValidator(check)


def _team_names(names: list[str]) -> list[str]:
    return sorted({name.strip() for name in names if name.strip()})


Teams = Annotated[
    list[TeamName],
    AfterValidator(_team_names),
    Field(default_factory=list, max_length=100, description="Teams by name; new ones are made."),
]


class CreateApiKeyInput(ActionInput):
    name: str = Field(min_length=1, max_length=100, description="What the key is for, such as `backstage`.")
    expires_in_days: int | None = Field(
        default=None, ge=1, le=MAX_KEY_DAYS, title="Expires in", json_schema_extra={"unit": "days"}
    )


@register
class CreateApiKey(Action[CreateApiKeyInput]):
    """Make a key that acts as you. The answer shows it this once: no replay and no page shows it again."""

    name = "accounts.create_api_key"
    title = "Make API key"
    permission = "accounts.manage_own_keys"
    risk = Risk.MEDIUM
    Input = CreateApiKeyInput
    success_status = 201
    answer_shows_once = True

    def guard(self, call: Call[CreateApiKeyInput]) -> None:
        if call.actor.user is None:
            raise BadRequest("A key belongs to a person; the system has none.")
        if call.actor.api_key_prefix:
            # Else whoever got hold of a key that expires could keep themselves a new one for ever.
            raise NotAllowed("A key cannot make another. Sign in and make it on the page API keys.")

    def preview(self, call: Call[CreateApiKeyInput]) -> Preview:
        user = call.actor.user
        assert user is not None  # the guard refuses the system
        return Preview(
            summary=f"Whoever holds the key acts as {user.get_username()}, {user.get_role_display()}.",
            undo="Revoke it on the page API keys.",
        )

    def execute(self, call: Call[CreateApiKeyInput]) -> Outcome:
        user = call.actor.user
        assert user is not None  # the guard refuses the system
        days = call.input.expires_in_days
        made = api_keys.make()
        key = ApiKey.objects.create(
            user=user,
            name=call.input.name,
            prefix=made.prefix,
            key_hash=made.key_hash,
            expires_at=instants.now() + timedelta(days=days) if days else None,
        )
        key.refresh_from_db(fields=["created_at"])
        return Outcome(
            result=describe_key(key) | {"key": None, "note": "The key is shown once, in the first answer."},
            shown_once={"key": made.raw},
            object_type="api_key",
            object_id=str(key.pk),
            object_label=str(key),
            after=describe_key(key),
            events=[Event("accounts.api_key_created", {"api_key_id": key.pk})],
        )


def describe_key(key: ApiKey) -> dict[str, Any]:
    """Return what may be told of a key: everything but its hash."""
    return {
        "id": key.pk,
        "name": key.name,
        "prefix": key.prefix,
        "user": key.user.get_username(),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


class RevokeApiKeyInput(ActionInput):
    key_id: int = Field(ge=1, le=MAX_ID, json_schema_extra={"widget": "hidden"})


@register
class RevokeApiKey(Action[RevokeApiKeyInput]):
    """End a key at once: your own or, for an SRE admin, anybody's."""

    name = "accounts.revoke_api_key"
    title = "Revoke API key"
    permission = "accounts.manage_own_keys"
    risk = Risk.MEDIUM
    Input = RevokeApiKeyInput

    def target(self, data: RevokeApiKeyInput, *, lock: bool) -> ApiKey:
        keys = ApiKey.objects.select_related("user")
        keys = keys.select_for_update(of=("self",)) if lock else keys
        key = keys.filter(pk=data.key_id).first()
        if key is None:
            raise NotFound("There is no such key.")
        return key

    def guard(self, call: Call[RevokeApiKeyInput]) -> None:
        user = call.actor.user
        if (
            user is not None
            and call.target.user_id != user.pk
            and not call.actor.may("accounts.manage_users")
        ):
            # As for a key that does not exist: which numbers others' keys have is nobody's business.
            raise NotFound("There is no such key.")

    def preview(self, call: Call[RevokeApiKeyInput]) -> Preview:
        key: ApiKey = call.target
        used = f"last used {key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never used"
        return Preview(
            summary=f"{key.name} ({key.prefix}…, {used}) stops working at once.",
            touches=[Touch(1, "key", [key.name])],
            undo="A revoked key does not come back; make a new one.",
        )

    def execute(self, call: Call[RevokeApiKeyInput]) -> Outcome:
        key: ApiKey = call.target
        before = describe_key(key)
        if key.revoked_at is None:
            key.revoked_at = instants.now()
            key.save(update_fields=["revoked_at"])
        return Outcome(
            result=describe_key(key),
            object_type="api_key",
            object_id=str(key.pk),
            object_label=str(key),
            before=before,
            after=describe_key(key),
            events=[Event("accounts.api_key_revoked", {"api_key_id": key.pk})],
        )


class CreateUserInput(ActionInput):
    username: NewUsername
    email: Annotated[
        str, Field(max_length=254, json_schema_extra={"format": "email"}), _django(validate_email)
    ] = ""
    role: User.Role = User.Role.VIEWER
    teams: Teams


def refuse_keys(call: Call[Any]) -> None:
    """Raise where a key, not a person, manages accounts: whoever got hold of it could keep access for ever."""
    if call.actor.api_key_prefix:
        raise NotAllowed("A key cannot manage users. Sign in, or use manage.py act on the machine itself.")


@register
class CreateUser(Action[CreateUserInput]):
    """Make an account. The answer shows its first password this once."""

    name = "accounts.create_user"
    title = "Create user"
    permission = "accounts.manage_users"
    risk = Risk.MEDIUM
    Input = CreateUserInput
    success_status = 201
    answer_shows_once = True

    def guard(self, call: Call[CreateUserInput]) -> None:
        refuse_keys(call)
        refuse_taken(call.input.username)

    def preview(self, call: Call[CreateUserInput]) -> Preview:
        role = User.Role(call.input.role).label
        return Preview(summary=f"{call.input.username} can sign in and act as {role}.")

    def execute(self, call: Call[CreateUserInput]) -> Outcome:
        data = call.input
        password = secrets.token_urlsafe(GENERATED_PASSWORD_BYTES)
        user = User.objects.create_user(data.username, data.email, password, role=data.role)
        user.teams.set(teams_named(data.teams))
        return Outcome(
            result=describe_user(user) | {"password": None},
            shown_once={"password": password},
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            after=describe_user(user),
            events=[Event("accounts.user_created", {"user_id": user.pk})],
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


class SetRoleInput(ActionInput):
    username: Username
    role: User.Role
    teams: list[TeamName] | None = Field(
        default=None,
        max_length=100,
        description="The user's teams from now on; unchanged when not given.",
    )


@register
class SetRole(Action[SetRoleInput]):
    """Change what a person may do: the role and, where given, the teams whose services are theirs."""

    name = "accounts.set_role"
    title = "Set role"
    permission = "accounts.manage_users"
    risk = Risk.HIGH
    Input = SetRoleInput

    def target(self, data: SetRoleInput, *, lock: bool) -> User:
        if lock:
            # All admins, in one order: of two who demote each other, the second sees what the first did.
            list(User.objects.filter(role=User.Role.SRE_ADMIN).order_by("pk").select_for_update())
        users = User.objects.select_for_update() if lock else User.objects
        user = users.filter(username=data.username).first()
        if user is None:
            raise NotFound(f"There is no user called {data.username}.")
        return user

    def guard(self, call: Call[SetRoleInput]) -> None:
        refuse_keys(call)
        user: User = call.target
        if call.input.role == User.Role.SRE_ADMIN:
            return
        others = User.objects.filter(role=User.Role.SRE_ADMIN, is_active=True).exclude(pk=user.pk)
        if user.role == User.Role.SRE_ADMIN and not others.exists():
            raise InvalidInput(
                f"{user.get_username()} is the last SRE admin. Make somebody else one first.",
                fields=[FieldProblem("role", "would leave nobody who can manage users")],
            )

    def preview(self, call: Call[SetRoleInput]) -> Preview:
        user: User = call.target
        changes = [FieldChange("Role", user.get_role_display(), User.Role(call.input.role).label)]
        if call.input.teams is not None:
            teams = sorted(user.teams.values_list("name", flat=True))
            changes.append(FieldChange("Teams", ", ".join(teams), ", ".join(_team_names(call.input.teams))))
        return Preview(summary=f"What {user.get_username()} may do changes at once.", changes=changes)

    def execute(self, call: Call[SetRoleInput]) -> Outcome:
        user: User = call.target
        before = describe_user(user)
        user.role = call.input.role
        user.save(update_fields=["role"])
        if call.input.teams is not None:
            user.teams.set(teams_named(_team_names(call.input.teams)))
        return Outcome(
            result=describe_user(user),
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            before=before,
            after=describe_user(user),
            events=[Event("accounts.role_changed", {"user_id": user.pk})],
        )
