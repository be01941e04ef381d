"""Passwords: a person changes their own, an SRE admin replaces one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.crypto import salted_hmac
from pydantic import AfterValidator, ConfigDict, Field, SecretStr, field_serializer

from apps.accounts import sessions, sign_ins
from apps.accounts.actions.common import (
    Rationale,
    SessionsEnded,
    UserRecord,
    describe_user,
    find_user,
    lock_admins,
    require_a_present_admin,
    touch,
)
from apps.accounts.actions.people import generated_password
from apps.accounts.formatting import session_words
from apps.accounts.models import User
from apps.accounts.names import Username
from apps.core import instants
from apps.core.actions import Action, ActionInput, Actor, Call, Event, Outcome, Preview, Risk, register
from apps.core.errors import BadRequest, BallastError, Conflict, FieldProblem, InvalidInput, NotAllowed
from apps.core.models import AuditEntry

MAX_PASSWORD = 1_000


def _not_too_long(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) > MAX_PASSWORD:
        raise ValueError(f"is longer than {MAX_PASSWORD:,} characters")
    return secret


Password = Annotated[SecretStr, AfterValidator(_not_too_long)]


def set_password(user: User, password: str, *, must_change: bool) -> list[int]:
    """Give a person another password and end all their sessions. Return the ids of the ended sessions."""
    user.set_password(password)
    user.must_change_password, user.password_changed_at = must_change, instants.now()
    user.save(update_fields=["password", "must_change_password", "password_changed_at"])
    return [session.pk for session in sessions.end_all(user)]


class ChangePasswordInput(ActionInput):
    model_config = ConfigDict(str_strip_whitespace=False)

    current_password: Password = Field(
        title="Present password",
        json_schema_extra={"maxLength": MAX_PASSWORD, "autocomplete": "current-password"},
    )
    new_password: Password = Field(
        title="New password",
        description="At least 12 characters, not a common one, not your name.",
        json_schema_extra={"maxLength": MAX_PASSWORD, "autocomplete": "new-password"},
    )

    @field_serializer("current_password", "new_password", when_used="json")
    def _as_fingerprint(self, secret: SecretStr) -> str:
        # Two requests with the same idempotency key are equal only if their passwords are. Only a digest is kept.
        return salted_hmac("accounts.password", secret.get_secret_value(), algorithm="sha256").hexdigest()


@register
class ChangePassword(Action[ChangePasswordInput, SessionsEnded]):
    """Choose another password. All your sessions end. On the page Account, your browser stays signed in."""

    name = "accounts.change_password"
    title = "Change password"
    permission = "accounts.manage_own_account"
    risk = Risk.MEDIUM
    Input = ChangePasswordInput

    def target(self, data: ChangePasswordInput, *, lock: bool) -> None:
        return None

    def guard(self, call: Call[ChangePasswordInput]) -> None:
        if call.actor.user is None:
            raise BadRequest("Only people have passwords. The system has none.")
        if call.actor.api_key_prefix:
            raise NotAllowed("A key cannot change the password. Sign in and change it on the page Account.")

    @contextmanager
    def around(self, actor: Actor, data: ChangePasswordInput) -> Iterator[None]:
        """Count the try before the password is checked, in PostgreSQL, and outside of what a refusal takes back.

        The count is forgotten only where the present password was right. A call that is refused for another reason,
        such as a malformed idempotency key, stays counted: nobody checked its password.
        """
        if actor.user is None or actor.api_key_prefix:
            yield  # the guard refuses it
            return
        taken = sign_ins.begin_password(actor.user, actor.ip)
        try:
            yield
        except BallastError as error:
            if _faults_only_the_new_one(error):
                sign_ins.succeed_password(taken)
            else:
                sign_ins.fail_password(taken, actor)
            raise
        sign_ins.succeed_password(taken)

    def preview(self, call: Call[ChangePasswordInput]) -> Preview:
        user = call.actor.user
        assert user is not None  # the guard refuses the system
        found = list(sessions.open_sessions(user))
        return Preview(
            summary="Your password changes, and all your other sessions end.",
            touches=touch(len(found), "open session", "open sessions", map(session_words, found)),
            undo="Change it again. API keys are not affected.",
        )

    def execute(self, call: Call[ChangePasswordInput]) -> Outcome[SessionsEnded]:
        assert call.actor.user is not None  # the guard refuses the system
        user = User.objects.select_for_update().get(pk=call.actor.user.pk)
        current, new = (
            call.input.current_password.get_secret_value(),
            call.input.new_password.get_secret_value(),
        )
        if not user.is_active or not user.check_password(current):
            raise InvalidInput(
                "The password was not changed.",
                fields=[FieldProblem("current_password", "is not your present password")],
            )
        _accept(user, current, new)
        ended = set_password(user, new, must_change=False)
        return Outcome(
            result={"username": user.get_username(), "sessions_ended": len(ended)},
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            after={"sessions_ended": len(ended)},
            events=[Event("accounts.password_changed", {"user_id": user.pk, "sessions_ended": len(ended)})],
        )

    def done(self, result: SessionsEnded) -> str:
        return "Your password is changed."

    def sentence(self, entry: AuditEntry) -> str:
        return f"Password of {entry.object_label} changed"


def _faults_only_the_new_one(error: BallastError) -> bool:
    """Return whether a call was refused for its new password alone, which is checked after the present one."""
    paths = {problem.path for problem in error.fields}
    return isinstance(error, InvalidInput) and paths == {"new_password"}


def _accept(user: User, current: str, new: str) -> None:
    """Raise :class:`InvalidInput` unless the new password differs from the present one and is strong enough."""
    if new == current:
        raise InvalidInput(
            "The password was not changed.", fields=[FieldProblem("new_password", "is the present one")]
        )
    try:
        validate_password(new, user)
    except ValidationError as error:
        problems = [FieldProblem("new_password", message) for message in error.messages]
        raise InvalidInput("The password was not changed.", fields=problems) from None


class PasswordReset(UserRecord):
    """A user whose sessions have ended; only the first answer has the password."""

    sessions_ended: int
    password: None
    note: str


class ResetPasswordInput(ActionInput):
    username: Username
    rationale: Rationale


@register
class ResetPassword(Action[ResetPasswordInput, PasswordReset]):
    """Give a person a one-time password, which they must change at the next sign-in. Only the first answer shows it."""

    name = "accounts.reset_password"
    title = "Reset password"
    permission = "accounts.manage_users"
    risk = Risk.HIGH
    Input = ResetPasswordInput
    answer_shows_once = True

    def target(self, data: ResetPasswordInput, *, lock: bool) -> User:
        if lock:
            lock_admins()
        return find_user(data.username, lock=lock)

    def guard(self, call: Call[ResetPasswordInput]) -> None:
        require_a_present_admin(call)
        if call.actor.user is not None and call.actor.user.pk == call.target.pk:
            raise Conflict("Change your own password on the page Account.")
        if not call.target.is_active:
            raise Conflict(f"{call.target.get_username()} is deactivated. Reactivate the user first.")

    def preview(self, call: Call[ResetPasswordInput]) -> Preview:
        user: User = call.target
        found = list(sessions.open_sessions(user))
        return Preview(
            summary=f"{user.get_username()} gets a new password, which you see once. They must change it when they "
            "sign in with it.",
            touches=touch(len(found), "session that ends", "sessions that end", map(session_words, found)),
            warnings=["The present password stops working at once."] if user.has_usable_password() else [],
            undo="The present password does not come back. API keys stay as they are.",
        )

    def execute(self, call: Call[ResetPasswordInput]) -> Outcome[PasswordReset]:
        user: User = call.target
        password = generated_password()
        ended = set_password(user, password, must_change=True)
        sign_ins.unlock(user)
        return Outcome(
            result={
                **describe_user(user),
                "sessions_ended": len(ended),
                "password": None,
                "note": "The password is shown once, in the first answer.",
            },
            shown_once={"password": password},
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            after={"must_change_password": True, "sessions_ended": len(ended)},
            events=[Event("accounts.password_reset", {"user_id": user.pk, "sessions_ended": len(ended)})],
        )

    def sentence(self, entry: AuditEntry) -> str:
        return f"Password of {entry.object_label} reset"
