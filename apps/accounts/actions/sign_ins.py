"""Internal actions that record sign-ins and sign-outs in the audit trail.

A typed name is never stored, because people type their password there by mistake. An entry names the user with that
name, or has a digest where no user has it.
"""

from __future__ import annotations

from typing import TypedDict

from pydantic import Field

from apps.accounts.actions.common import MAX_ID, recorded
from apps.accounts.formatting import browser_words
from apps.accounts.models import User
from apps.accounts.sign_ins import PASSWORD, SCOPES, UNKNOWN
from apps.core.actions import Action, ActionInput, Call, Event, Nothing, Outcome, register
from apps.core.errors import NotSignedIn
from apps.core.models import AuditEntry
from apps.ui.format import plural

INTERNAL = "accounts.record_sign_ins"
"""No role holds this permission, and none needs it: what is recorded has already happened."""


class BySelfInput(ActionInput):
    user_agent: str = ""


class _BySelf(Action[BySelfInput, Nothing]):
    """An action of a person who has just proved their identity."""

    permission = INTERNAL
    is_internal = True
    Input = BySelfInput
    topic: str

    def execute(self, call: Call[BySelfInput]) -> Outcome[Nothing]:
        user = call.actor.user
        assert user is not None  # somebody signed in or out
        return Outcome(
            result={},
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            after={"browser": browser_words(call.input.user_agent)},
            events=[Event(self.topic, {"user_id": user.pk, "ip": call.actor.ip})],
        )


@register
class SignedIn(_BySelf):
    """Somebody signed in with their password."""

    name = "accounts.sign_in"
    title = "Sign in"
    topic = "accounts.signed_in"

    def target(self, data: BySelfInput, *, lock: bool) -> None:
        return None

    def guard(self, call: Call[BySelfInput]) -> None:
        user = call.actor.user
        assert user is not None  # somebody signed in
        # The lock makes sure that nobody gets a session who was or is being deactivated since the check of the
        # password.
        users = User.objects.select_for_update(no_key=True).filter(pk=user.pk, password=user.password)
        if not users.filter(is_active=True).exists():
            raise NotSignedIn("Your account was changed while you signed in. Try again.")

    def sentence(self, entry: AuditEntry) -> str:
        return f"Sign-in of {entry.object_label} with {recorded(entry.after)['browser']}"


@register
class SignedOut(_BySelf):
    """Somebody signed out."""

    name = "accounts.sign_out"
    title = "Sign out"
    topic = "accounts.signed_out"

    def sentence(self, entry: AuditEntry) -> str:
        return f"Sign-out of {entry.object_label}"


class AttemptInput(ActionInput):
    user_id: int | None = Field(default=None, ge=1, le=MAX_ID)
    name_digest: str = ""


class _Subject(TypedDict):
    object_type: str
    object_id: str
    object_label: str


def _whose(user_id: int | None, name_digest: str, other: str) -> _Subject:
    """Return the subject of an entry about an attempt: the person of that name, or what else identifies it."""
    user = User.objects.filter(pk=user_id).first() if user_id is not None else None
    if user is not None:
        return {"object_type": "user", "object_id": str(user.pk), "object_label": user.get_username()}
    return {"object_type": "sign_in", "object_id": name_digest or "any", "object_label": other}


@register
class SignInFailed(Action[AttemptInput, Nothing]):
    """A sign-in failed: a wrong password, an unknown name, or a deactivated user."""

    name = "accounts.sign_in_failed"
    title = "Sign-in failed"
    permission = INTERNAL
    is_internal = True
    Input = AttemptInput

    def execute(self, call: Call[AttemptInput]) -> Outcome[Nothing]:
        data = call.input
        about = _whose(data.user_id, data.name_digest, "unknown name")
        return Outcome(
            result={},
            **about,
            events=[Event("accounts.sign_in_failed", {"user_id": data.user_id, "ip": call.actor.ip})],
        )

    def sentence(self, entry: AuditEntry) -> str:
        if entry.object_type == "user":
            return f"Sign-in as {entry.object_label} failed"
        return "Sign-in under an unknown name failed"


class LockedInput(AttemptInput):
    scope: str
    attempts: int
    seconds: int


@register
class SignInLocked(Action[LockedInput, Nothing]):
    """Sign-ins are refused for a while because too many failed."""

    name = "accounts.sign_in_locked"
    title = "Sign-ins locked"
    permission = INTERNAL
    is_internal = True
    Input = LockedInput

    def execute(self, call: Call[LockedInput]) -> Outcome[Nothing]:
        data = call.input
        scope = SCOPES[data.scope]
        is_of_a_name = scope.name != "address"
        about = _whose(
            data.user_id if is_of_a_name else None, data.name_digest if is_of_a_name else "", scope.words
        )
        after = {"locked": scope.words, "failed_attempts": data.attempts, "for_seconds": data.seconds}
        payload = {"user_id": data.user_id, "ip": call.actor.ip, "scope": scope.name}
        return Outcome(result={}, **about, after=after, events=[Event("accounts.sign_in_locked", payload)])

    def sentence(self, entry: AuditEntry) -> str:
        after, who = recorded(entry.after), f" as {entry.object_label}" if entry.object_type == "user" else ""
        if after["locked"] == PASSWORD.words:
            failed = plural(after["failed_attempts"], "wrong password")
            return f"Changes of the password of {entry.object_label} locked after {failed}"
        return f"Sign-ins{who} locked after {after['failed_attempts']} failures: {after['locked']}"


class CountedInput(ActionInput):
    scope: str
    refused: int
    user_id: int | None = None


@register
class SignInsCounted(Action[CountedInput, Nothing]):
    """The number of sign-ins that were refused during a lock, or that were too many for entries of their own."""

    name = "accounts.sign_ins_counted"
    title = "Further sign-ins counted"
    permission = INTERNAL
    is_internal = True
    Input = CountedInput

    def execute(self, call: Call[CountedInput]) -> Outcome[Nothing]:
        data = call.input
        scope = SCOPES[data.scope]
        about = _whose(data.user_id, "", scope.words)
        what = "failed" if scope is UNKNOWN else "refused"
        after = {"counted_together": scope.words, what: data.refused}
        payload = {
            "user_id": data.user_id,
            "ip": call.actor.ip,
            "scope": scope.name,
            "attempts": data.refused,
        }
        return Outcome(
            result={},
            **about,
            after=after,
            events=[Event("accounts.sign_ins_counted", payload)],
        )

    def sentence(self, entry: AuditEntry) -> str:
        after, who = recorded(entry.after), f" as {entry.object_label}" if entry.object_type == "user" else ""
        if after.get("counted_together") == PASSWORD.words:
            tries = plural(after["refused"], "try", "tries")
            return f"{tries} to change the password of {entry.object_label} refused while locked"
        if "refused" in after:
            return f"{plural(after['refused'], 'sign-in')}{who} refused while locked: {after['counted_together']}"
        return f"{plural(after['failed'], 'further sign-in')} under unknown names failed"
