"""People: an SRE admin creates them and sets their role and teams."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from django.core.validators import validate_email
from pydantic import Field

from apps.accounts.actions.common import (
    Teams,
    UserRecord,
    by_django,
    describe_user,
    find_user,
    keep_an_admin,
    lock_admins,
    recorded,
    require_a_present_admin,
    teams_named,
    tidy_names,
)
from apps.accounts.models import User
from apps.accounts.names import NewUsername, TeamName, Username, refuse_taken
from apps.core.actions import (
    Action,
    ActionInput,
    Call,
    Event,
    FieldChange,
    Outcome,
    Preview,
    Risk,
    Undo,
    register,
)
from apps.core.errors import Conflict, FieldProblem, InvalidInput
from apps.core.models import AuditEntry
from apps.ui.forms import FormValues

GENERATED_PASSWORD_BYTES = 18


def generated_password() -> str:
    """Return a password of 144 random bits."""
    return secrets.token_urlsafe(GENERATED_PASSWORD_BYTES)


class CreateUserInput(ActionInput):
    username: NewUsername
    email: Annotated[
        str, Field(max_length=254, json_schema_extra={"format": "email"}), by_django(validate_email)
    ] = ""
    role: User.Role = User.Role.VIEWER
    teams: Teams


class NewUser(UserRecord):
    """A user who was just made; only the first answer has the password."""

    password: None


@register
class CreateUser(Action[CreateUserInput, NewUser]):
    """Make an account. Only the first answer shows its password."""

    name = "accounts.create_user"
    title = "Create user"
    permission = "accounts.manage_users"
    risk = Risk.MEDIUM
    Input = CreateUserInput
    success_status = 201
    answer_shows_once = True

    def guard(self, call: Call[CreateUserInput]) -> None:
        require_a_present_admin(call)
        if not call.input.username.strip("."):
            # `/people/../` would be the address of another page.
            problem = FieldProblem("username", "has only full stops; add a letter or a digit")
            raise InvalidInput("This name cannot be used.", fields=[problem])
        refuse_taken(call.input.username)

    def preview(self, call: Call[CreateUserInput]) -> Preview:
        role = User.Role(call.input.role).label
        return Preview(summary=f"{call.input.username} can sign in and act as {role}.")

    def execute(self, call: Call[CreateUserInput]) -> Outcome[NewUser]:
        data = call.input
        password = generated_password()
        user = User.objects.create_user(data.username, data.email, password, role=data.role)
        user.teams.set(teams_named(data.teams))
        return Outcome(
            result={**describe_user(user), "password": None},
            shown_once={"password": password},
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            after=describe_user(user),
            events=[Event("accounts.user_created", {"user_id": user.pk})],
        )

    def sentence(self, entry: AuditEntry) -> str:
        return f"User {entry.object_label} created as {User.Role(recorded(entry.after)['role']).label}"


class SetRoleInput(ActionInput):
    username: Username
    role: User.Role
    teams: list[TeamName] | None = Field(
        default=None,
        max_length=100,
        description="The user's new teams: `[]` for none, unchanged when not given.",
    )
    undoes: UUID | None = Field(
        default=None,
        description="The audit entry of the change that this takes back. Refused where the user has another role or "
        "other teams since.",
        json_schema_extra={"widget": "hidden"},
    )


@register
class SetRole(Action[SetRoleInput, UserRecord]):
    """Change a person's role and, where given, the teams whose services they own."""

    name = "accounts.set_role"
    title = "Set role"
    permission = "accounts.manage_users"
    risk = Risk.HIGH
    Input = SetRoleInput

    def target(self, data: SetRoleInput, *, lock: bool) -> User:
        if lock:
            lock_admins()
        return find_user(data.username, lock=lock)

    def guard(self, call: Call[SetRoleInput]) -> None:
        require_a_present_admin(call)
        if call.input.undoes is not None:
            self._still_as_left(call.target, call.input.undoes)
        if call.input.role != User.Role.SRE_ADMIN:
            keep_an_admin(call.target, "role")

    def _still_as_left(self, user: User, entry_id: UUID) -> None:
        """Raise unless the user has the role and the teams that an earlier change of them left."""
        entry = AuditEntry.objects.filter(pk=entry_id, action=self.name, object_id=str(user.pk)).first()
        if entry is None:
            problem = FieldProblem("undoes", "is no change of this user's role or teams")
            raise InvalidInput("There is nothing to take back.", fields=[problem])
        left, now = recorded(entry.after), recorded(describe_user(user))
        if any(left[name] != now[name] for name in ("role", "teams")):
            raise Conflict(
                f"Somebody changed the role or the teams of {user.get_username()} since. Nothing was taken back.",
                extra={
                    "difference": [
                        {"label": "Role", "before": _role_words(left), "after": _role_words(now)},
                        {"label": "Teams", "before": _named(left["teams"]), "after": _named(now["teams"])},
                    ]
                },
            )

    def preview(self, call: Call[SetRoleInput]) -> Preview:
        user: User = call.target
        changes = [FieldChange("Role", user.get_role_display(), User.Role(call.input.role).label)]
        if call.input.teams is not None:
            teams = sorted(user.teams.values_list("name", flat=True))
            changes.append(FieldChange("Teams", _named(teams), _named(tidy_names(call.input.teams))))
        return Preview(summary=f"The rights of {user.get_username()} change at once.", changes=changes)

    def execute(self, call: Call[SetRoleInput]) -> Outcome[UserRecord]:
        user: User = call.target
        before = describe_user(user)
        user.role = call.input.role
        user.save(update_fields=["role"])
        if call.input.teams is not None:
            user.teams.set(teams_named(tidy_names(call.input.teams)))
        return Outcome(
            result=describe_user(user),
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            before=before,
            after=describe_user(user),
            events=[Event("accounts.role_changed", {"user_id": user.pk})],
        )

    def done(self, result: UserRecord) -> str:
        return f"{result['username']} is {User.Role(result['role']).label} from now on."

    def undo(self, entry: AuditEntry) -> Undo:
        before, after = recorded(entry.before), recorded(entry.after)
        values: FormValues = {"username": before["username"], "role": before["role"], "undoes": str(entry.pk)}
        if before["teams"] != after["teams"]:
            values["teams"] = before["teams"]
        return Undo(self.name, values)

    def sentence(self, entry: AuditEntry) -> str:
        before, after = (_role_words(recorded(record)) for record in (entry.before, entry.after))
        if before == after:
            return f"Teams of {entry.object_label} changed"
        return f"Role of {entry.object_label} changed from {before} to {after}"


def _role_words(record: Mapping[str, Any]) -> str:
    return User.Role(record["role"]).label


def _named(teams: Sequence[str]) -> str:
    return ", ".join(teams) or "none"
