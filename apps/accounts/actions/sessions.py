"""Sessions: a person ends one or all of their own, an SRE admin anybody's."""

from __future__ import annotations

from typing import Any, TypedDict

from pydantic import Field

from apps.accounts import sessions
from apps.accounts.actions.common import MAX_ID, SessionsEnded, find_user, recorded, refuse_keys, touch
from apps.accounts.formatting import session_words
from apps.accounts.models import User, UserSession
from apps.accounts.names import Username
from apps.core.actions import Action, ActionInput, Call, Event, Outcome, Preview, Risk, Touch, register
from apps.core.errors import Conflict, NotFound
from apps.core.models import AuditEntry
from apps.ui.format import plural

NO_SESSION = "There is no such session."


class EndSessionInput(ActionInput):
    session_id: int = Field(ge=1, le=MAX_ID, json_schema_extra={"widget": "hidden"})


class SessionRecord(TypedDict):
    """A session: where and since when, without what opens it."""

    id: int
    user: str
    ip: str | None
    browser: str
    created_at: str
    last_seen_at: str


def describe_session(session: UserSession) -> SessionRecord:
    """Return a session's record."""
    return {
        "id": session.pk,
        "user": session.user.get_username(),
        "ip": session.ip,
        "browser": session_words(session),
        "created_at": session.created_at.isoformat(),
        "last_seen_at": session.last_seen_at.isoformat(),
    }


@register
class EndSession(Action[EndSessionInput, SessionRecord]):
    """Sign one browser out at once. An SRE admin can do it for anybody, others for themselves."""

    name = "accounts.end_session"
    title = "End session"
    permission = "accounts.manage_own_account"
    risk = Risk.LOW
    Input = EndSessionInput

    def target(self, data: EndSessionInput, *, lock: bool) -> UserSession:
        found = UserSession.objects.select_related("user")
        found = found.select_for_update(of=("self",)) if lock else found
        session = found.filter(pk=data.session_id).first()
        if session is None:
            raise NotFound(NO_SESSION)
        return session

    def guard(self, call: Call[EndSessionInput]) -> None:
        refuse_keys(call)
        _own_or_admin(call, call.target.user_id, NO_SESSION)

    def preview(self, call: Call[EndSessionInput]) -> Preview:
        session: UserSession = call.target
        return Preview(
            summary=f"{session.user.get_username()} is signed out there at once: {session_words(session)}.",
            touches=[Touch(1, "session", [session_words(session)])],
            undo="Sign in again there.",
        )

    def execute(self, call: Call[EndSessionInput]) -> Outcome[SessionRecord]:
        session: UserSession = call.target
        sessions.end([session])
        payload = {"user_id": session.user_id, "sessions_ended": 1}
        return Outcome(
            result=describe_session(session),
            object_type="user",
            object_id=str(session.user_id),
            object_label=session.user.get_username(),
            before=describe_session(session),
            events=[Event("accounts.sessions_ended", payload)],
        )

    def done(self, result: SessionRecord) -> str:
        return f"{result['user']} is signed out there: {result['browser']}."

    def sentence(self, entry: AuditEntry) -> str:
        return f"Session of {entry.object_label} ended: {recorded(entry.before)['browser']}"


class EndSessionsInput(ActionInput):
    username: Username
    keep_session_id: int | None = Field(
        default=None,
        ge=1,
        le=MAX_ID,
        description="A session to keep, such as the one you use.",
        json_schema_extra={"widget": "hidden"},
    )


@register
class EndSessions(Action[EndSessionsInput, SessionsEnded]):
    """Sign a person out everywhere at once. An SRE admin can do it for anybody, others for themselves."""

    name = "accounts.end_sessions"
    title = "End sessions"
    permission = "accounts.manage_own_account"
    risk = Risk.MEDIUM
    Input = EndSessionsInput

    def target(self, data: EndSessionsInput, *, lock: bool) -> User:
        return find_user(data.username, lock=lock)

    def guard(self, call: Call[EndSessionsInput]) -> None:
        refuse_keys(call)
        user: User = call.target
        _own_or_admin(call, user.pk, f"There is no user called {call.input.username}.")
        kept = call.input.keep_session_id
        if kept is not None and not sessions.open_sessions(user).filter(pk=kept).exists():
            raise Conflict("The session to keep is not open. Reload the page.")

    def preview(self, call: Call[EndSessionsInput]) -> Preview:
        user: User = call.target
        found = list(sessions.open_sessions(user, keep=call.input.keep_session_id))
        where = "everywhere else" if call.input.keep_session_id else "everywhere"
        return Preview(
            summary=f"{user.get_username()} is signed out {where} at once.",
            touches=touch(len(found), "session that ends", "sessions that end", map(session_words, found)),
            undo="Sign in again. API keys are not affected.",
        )

    def execute(self, call: Call[EndSessionsInput]) -> Outcome[SessionsEnded]:
        user: User = call.target
        ended = sessions.end_all(user, keep=call.input.keep_session_id)
        counted = {"sessions_ended": len(ended)}
        return Outcome(
            result={"username": user.get_username(), "sessions_ended": len(ended)},
            object_type="user",
            object_id=str(user.pk),
            object_label=user.get_username(),
            after=counted,
            events=[Event("accounts.sessions_ended", {"user_id": user.pk} | counted)],
        )

    def done(self, result: SessionsEnded) -> str:
        return f"{plural(result['sessions_ended'], 'session')} of {result['username']} ended."

    def sentence(self, entry: AuditEntry) -> str:
        return f"{plural(recorded(entry.after)['sessions_ended'], 'session')} of {entry.object_label} ended"


def _own_or_admin(call: Call[Any], owner_id: int, otherwise: str) -> None:
    user = call.actor.user
    if user is not None and user.pk != owner_id and not call.actor.may("accounts.manage_users"):
        # The same answer as for a session that does not exist, so that nobody learns of others' sessions.
        raise NotFound(otherwise)
