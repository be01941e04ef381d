"""The browsers in which people are signed in: their use is noted, and they can be ended.

Django's own table holds the sessions; :class:`apps.accounts.models.UserSession` says whose they are and where they were
last seen. Ending a session deletes its row in Django's table, so its cookie stops working at once.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import QuerySet

from apps.accounts.models import User, UserSession
from apps.core import instants

SEEN_EVERY_SECONDS = 60
MAX_USER_AGENT = 300
KEPT = timedelta(days=90)
"""How long an ended session stays listed, for later questions about where somebody signed in."""
MAX_REMEMBERED = 10_000

_DIGEST = "encode(sha256(convert_to(session_key, 'UTF8')), 'hex')"
# Only a session that Django still has is noted, so that a request under way at its end does not bring it back.
_NOTE = f"""
INSERT INTO accounts_usersession (user_id, key_digest, expires_at, ip, user_agent)
SELECT %(user)s, %(digest)s, expire_date, %(ip)s, %(agent)s FROM django_session WHERE session_key = %(key)s
ON CONFLICT (key_digest) DO UPDATE SET last_seen_at = now(), ip = EXCLUDED.ip, expires_at = EXCLUDED.expires_at
WHERE accounts_usersession.ended_at IS NULL
  AND accounts_usersession.last_seen_at < now() - make_interval(secs => {SEEN_EVERY_SECONDS})
"""  # noqa: S608 (constants only)
_DELETE = f"DELETE FROM django_session WHERE {_DIGEST} = ANY(%s)"  # noqa: S608 (constants only)
_UNTRACKED = f"""
SELECT session_key, session_data FROM django_session s
WHERE NOT EXISTS (SELECT 1 FROM accounts_usersession u WHERE u.key_digest = {_DIGEST})
"""  # noqa: S608 (constants only)


def digest(session_key: str) -> str:
    """Return the name of a session outside Django's table. Its key has 165 random bits, so no salt is needed."""
    return hashlib.sha256(session_key.encode()).hexdigest()


def note(user: User, session_key: str, *, ip: str | None, user_agent: str) -> None:
    """Note that somebody uses a session, at most once a minute for each."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "user": user.pk,
                "digest": digest(session_key),
                "key": session_key,
                "ip": ip,
                "agent": user_agent.replace("\0", "")[:MAX_USER_AGENT],
            },
        )


class Recently:
    """Remembers in this process what was done within the last minute, so that it is not done again."""

    def __init__(self, seconds: float = SEEN_EVERY_SECONDS, capacity: int = MAX_REMEMBERED) -> None:
        self._seconds, self._capacity = seconds, capacity
        self._lock = threading.Lock()
        self._until: OrderedDict[str, float] = OrderedDict()

    def first(self, key: str) -> bool:
        """Return whether this is the first time within the interval, and remember it."""
        now = time.monotonic()
        with self._lock:
            if self._until.get(key, 0.0) > now:
                return False
            self._until[key] = now + self._seconds
            self._until.move_to_end(key)
            while len(self._until) > self._capacity:
                self._until.popitem(last=False)
        return True

    def forget(self, key: str) -> None:
        """Make the next time count as the first again."""
        with self._lock:
            self._until.pop(key, None)


def open_sessions(user: User, *, keep: int | None = None) -> QuerySet[UserSession]:
    """Return a person's usable sessions, the one seen last first, without the one of that id."""
    found = UserSession.objects.filter(user=user, ended_at=None, expires_at__gt=instants.now())
    if keep is not None:
        found = found.exclude(pk=keep)
    return found.order_by("-last_seen_at", "-pk")


def end(found: Iterable[UserSession]) -> list[UserSession]:
    """End these sessions at once. Return those that were still open."""
    still_open = [one for one in found if one.ended_at is None]
    digests = [one.key_digest for one in still_open]
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [digests])
    UserSession.objects.filter(pk__in=[one.pk for one in still_open]).update(ended_at=instants.now())
    return still_open


def end_all(user: User, *, keep: int | None = None) -> list[UserSession]:
    """End all sessions of a person, except the one of that id. Return those that were noted.

    Sessions without a note, because nobody used them since the table exists, are found by their contents.
    """
    ended = end(open_sessions(user, keep=keep).select_for_update(of=("self",)))
    with connection.cursor() as cursor:
        cursor.execute(_UNTRACKED)
        rows = cursor.fetchall()
    theirs = [key for key, data in rows if SessionStore().decode(data).get(SESSION_KEY) == str(user.pk)]
    if theirs:
        Session.objects.filter(session_key__in=theirs).delete()
    return ended


def purge(now: datetime | None = None) -> int:
    """Delete Django's rows of expired sessions and the notes of long ended ones. Return how many."""
    now = now or instants.now()
    gone, _ = Session.objects.filter(expire_date__lt=now).delete()
    old, _ = UserSession.objects.filter(expires_at__lt=now - KEPT).delete()
    ended, _ = UserSession.objects.filter(ended_at__lt=now - KEPT).delete()
    return gone + old + ended
