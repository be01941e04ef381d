"""Whether a person can sign in at all. An SRE admin deactivates and reactivates people; nobody is deleted."""

from __future__ import annotations

from typing import TypedDict

from apps.accounts import sessions
from apps.accounts.actions.common import (
    Rationale,
    UserRecord,
    describe_user,
    find_user,
    keep_an_admin,
    lock_admins,
    recorded,
    require_a_present_admin,
    touch,
)
from apps.accounts.formatting import session_words
from apps.accounts.models import ApiKey, Team, User
from apps.accounts.names import Username
from apps.accounts.queries import keys_in_use, solely_owned
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
    Undo,
    register,
    taken_back,
)
from apps.core.errors import Conflict
from apps.core.models import AuditEntry
from apps.ui.format import plural


class Closed(TypedDict):
    """How many sessions and keys ended with a user's access."""

    sessions_ended: int
    keys_revoked: int


class Deactivated(UserRecord, Closed):
    """A user who can no longer sign in."""


class StandingInput(ActionInput):
    username: Username
    rationale: Rationale


class _Standing(Action[StandingInput, UserRecord]):
    permission = "accounts.manage_users"
    Input = StandingInput

    def target(self, data: StandingInput, *, lock: bool) -> User:
        if lock:
            lock_admins()
        return find_user(data.username, lock=lock)


def close_doors(user: User) -> Closed:
    """End every session and revoke every key of a person. Return how many of each there were."""
    ended = sessions.end_all(user)
    revoked = ApiKey.objects.filter(user=user, revoked_at=None).update(revoked_at=instants.now())
    return {"sessions_ended": len(ended), "keys_revoked": revoked}


def closed_words(sessions_ended: int, keys_revoked: int) -> str:
    """Return what ended with a person's access: ``, with 2 sessions and 1 key``; empty where nothing did."""
    counts = [(sessions_ended, "session"), (keys_revoked, "key")]
    words = [plural(count, noun) for count, noun in counts if count]
    return f", with {' and '.join(words)}" if words else ""


@register
class Deactivate(_Standing):
    """End a person's access at once: their sessions end, their keys are revoked, and they cannot sign in again."""

    name = "accounts.deactivate"
    title = "Deactivate user"
    risk = Risk.HIGH

    def guard(self, call: Call[StandingInput]) -> None:
        require_a_present_admin(call)
        user: User = call.target
        if call.actor.user is not None and call.actor.user.pk == user.pk:
            raise Conflict("You cannot deactivate yourself. Ask another SRE admin to do it.")
        if not user.is_active:
            raise Conflict(f"{user.get_username()} is deactivated already.")
        keep_an_admin(user, "username")

    def preview(self, call: Call[StandingInput]) -> Preview:
        user: User = call.target
        open_now = list(sessions.open_sessions(user))
        keys = list(keys_in_use(user))
        alone = solely_owned(user)
        left = [f"team {team.name}" for team in Team.objects.filter(pk__in={team for team, _ in alone})]
        return Preview(
            summary=f"{user.get_username()} is signed out everywhere at once and cannot sign in again.",
            changes=[FieldChange("State", "active", "deactivated")],
            touches=[
                *touch(len(open_now), "session that ends", "sessions that end", map(session_words, open_now)),
                *touch(len(keys), "key that is revoked", "keys that are revoked", (key.name for key in keys)),
                *touch(
                    len(alone),
                    "service that has no other owner",
                    "services that have no other owner",
                    (service for _, service in alone),
                ),
            ],
            warnings=[f"Afterwards only SRE admins decide for {' and '.join(left)}."] if left else [],
            undo="Reactivate the user. Sessions and keys do not come back. The audit trail keeps what they did.",
        )

    def execute(self, call: Call[StandingInput]) -> Outcome[UserRecord]:
        user: User = call.target
        before = describe_user(user)
        user.is_active, user.deactivated_at = False, instants.now()
        user.save(update_fields=["is_active", "deactivated_at"])
        closed = close_doors(user)
        after: Deactivated = {**describe_user(user), **closed}
        return Outcome(
            result=after,
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            before=before,
            after=after,
            events=[Event("accounts.user_deactivated", {"user_id": user.pk, **closed})],
        )

    def done(self, result: UserRecord) -> str:
        return f"{result['username']} is deactivated."

    def undo(self, entry: AuditEntry) -> Undo:
        return Undo("accounts.reactivate", {"username": entry.object_label, "rationale": taken_back(self)})

    def sentence(self, entry: AuditEntry) -> str:
        after = recorded(entry.after)
        words = closed_words(after["sessions_ended"], after["keys_revoked"])
        return f"User {entry.object_label} deactivated{words}"


@register
class Reactivate(_Standing):
    """Let a deactivated person sign in again, with their previous role, teams and password."""

    name = "accounts.reactivate"
    title = "Reactivate user"
    risk = Risk.MEDIUM

    def guard(self, call: Call[StandingInput]) -> None:
        require_a_present_admin(call)
        if call.target.is_active:
            raise Conflict(f"{call.target.get_username()} is active already.")

    def preview(self, call: Call[StandingInput]) -> Preview:
        user: User = call.target
        can_sign_in = user.has_usable_password()
        return Preview(
            summary=f"{user.get_username()} can sign in again and act as {user.get_role_display()}."
            if can_sign_in
            else f"{user.get_username()} is active again, but has no password: reset it to let them sign in.",
            changes=[FieldChange("State", "deactivated", "active")],
            undo="Deactivate the user.",
        )

    def execute(self, call: Call[StandingInput]) -> Outcome[UserRecord]:
        user: User = call.target
        before = describe_user(user)
        user.is_active, user.deactivated_at = True, None
        user.save(update_fields=["is_active", "deactivated_at"])
        # A session or key that was made at the moment of the deactivation must not become usable now.
        close_doors(user)
        return Outcome(
            result=describe_user(user),
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            before=before,
            after=describe_user(user),
            events=[Event("accounts.user_reactivated", {"user_id": user.pk})],
        )

    def done(self, result: UserRecord) -> str:
        return f"{result['username']} is active again."

    def undo(self, entry: AuditEntry) -> Undo:
        return Undo("accounts.deactivate", {"username": entry.object_label, "rationale": taken_back(self)})

    def sentence(self, entry: AuditEntry) -> str:
        return f"User {entry.object_label} reactivated"
