"""Limits on attempts to sign in, counted in PostgreSQL, so that a loss of Redis does not lift them.

There are four counts, each for a window that begins with its first attempt: one name from one address, one name from
anywhere, one address with any name, and one name in one browser where its person signed in before. An attempt is
counted before its password is checked, so that a hundred at once have no more tries than one after another. Where a
count reaches its limit, sign-ins are refused until :data:`LOCK` is over. Refused attempts are counted but not checked.

A browser in which a person signed in shows it by a signed cookie (:mod:`apps.accounts.devices`). For that name it has
only its own count, so nobody can lock a person out of their own browser by guessing, not even from the same address. A
browser without the cookie shares the count of its name with others behind the address. From an address where the person
signed in lately, attempts elsewhere and under other names do not block them.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from apps.accounts.models import User, UserSession
from apps.core import instants
from apps.core.actions import Actor
from apps.core.dispatcher import record
from apps.core.errors import RateLimited
from apps.core.models import AuditEntry

WINDOW = timedelta(minutes=15)
LOCK = timedelta(minutes=15)
KNOWN_FOR = timedelta(days=30)
IPV6_NETWORK_BITS = 64
"""One person usually has a whole network of this size."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A kind of count, and its limit of attempts within a window."""

    name: str
    limit: int
    words: str


DEVICE = Scope("device", 10, "one name in one browser")
"""A browser in which the person of that name signed in before. Others' attempts do not count here."""
PAIR = Scope("pair", 10, "one name from one address")
NAME = Scope("name", 50, "one name from anywhere")
ADDRESS = Scope("address", 100, "one address")
UNKNOWN = Scope("unknown", 20, "unknown names")
"""Failed sign-ins under unknown names. Beyond this many in a window they are only counted together."""
PASSWORD = Scope("password", 10, "the present password of one person")
"""Tries to give the present password for a change of it. Somebody who finds an open browser has no more than these."""
SCOPES = {scope.name: scope for scope in (DEVICE, PAIR, NAME, ADDRESS, UNKNOWN, PASSWORD)}

# One statement, so that of many attempts at once exactly the allowed number pass. A row whose window is over was
# deleted before.
_TAKE = """
INSERT INTO accounts_signincount AS c (subject, scope, attempts, refused, ends_at, user_id, ip)
VALUES (%(subject)s, %(scope)s, 1, 0, now() + make_interval(secs => %(window)s), %(user)s, %(ip)s)
ON CONFLICT (subject) DO UPDATE SET
    attempts = least(c.attempts + 1, %(limit)s),
    refused = c.refused + CASE WHEN c.attempts >= %(limit)s THEN 1 ELSE 0 END,
    ends_at = CASE WHEN c.attempts + 1 = %(limit)s THEN now() + make_interval(secs => %(lock)s) ELSE c.ends_at END,
    user_id = coalesce(c.user_id, EXCLUDED.user_id)
RETURNING NEW.attempts, coalesce(OLD.attempts >= %(limit)s, false), ceil(extract(epoch FROM NEW.ends_at - now()))
"""
_GIVE_BACK = (
    "UPDATE accounts_signincount SET attempts = attempts - 1 WHERE subject = ANY(%s) AND attempts > 0"
)
_FORGET = "DELETE FROM accounts_signincount WHERE subject = %s AND refused = 0"
_RELEASE = """
UPDATE accounts_signincount SET ends_at = now()
WHERE subject = %(name)s OR subject LIKE %(pair)s OR subject LIKE %(device)s OR subject = %(password)s
"""
_OVER = """
DELETE FROM accounts_signincount WHERE subject IN (
    SELECT subject FROM accounts_signincount
    WHERE ends_at <= now() AND (%(subjects)s::text[] IS NULL OR subject = ANY(%(subjects)s))
    ORDER BY subject LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING scope, refused, user_id, host(ip)
"""
SETTLED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of counting an attempt in one scope: how many were allowed so far, and whether this one was."""

    scope: Scope
    subject: str
    attempts: int
    is_refused: bool
    seconds_left: int

    @property
    def is_the_last(self) -> bool:
        """Whether this attempt was allowed and no further one will be."""
        return not self.is_refused and self.attempts >= self.scope.limit


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in. ``user`` is the person of that name, ``None`` for an unknown name."""

    user: User | None
    ip: str | None
    name_digest: str
    taken: list[Taken] = field(default_factory=list)


def begin(name: str, ip: str | None, device: str | None = None) -> Attempt:
    """Count an attempt to sign in as ``name``, which is normalised as in the form and put in lower case.

    ``device`` is the identity of a browser in which this person signed in before, which the caller has checked.

    Raises :class:`RateLimited` where the name, the address or the browser is locked. The caller must not check the
    password then.
    """
    user = person_of(name)
    digest, network = name_digest(name), network_of(ip)
    pair, address = (PAIR, f"pair:{digest}:{network}"), (ADDRESS, f"address:{network}")
    if device is not None:
        wanted = [(DEVICE, f"device:{digest}:{device}")]
    elif _is_known_there(user, network):
        wanted = [pair]
    else:
        wanted = [pair, (NAME, f"name:{digest}"), address]
    settle([*(subject for _, subject in wanted), UNKNOWN.name])
    attempt = Attempt(user, ip, digest)
    for scope, subject in wanted:
        taken = take(
            scope, subject, user=None if scope is ADDRESS else user, ip=None if scope is NAME else ip
        )
        if taken.is_refused:
            _give_back(
                attempt.taken
            )  # The attempt was refused, so it must not count in the scopes that it passed before.
            raise _refusal("There were too many failed sign-ins.", taken)
        attempt.taken.append(taken)
    return attempt


def begin_password(user: User, ip: str | None) -> Taken:
    """Count a try to give the present password. Raises :class:`RateLimited` where there were too many wrong ones."""
    subject = f"password:{user.pk}"
    settle([subject])
    taken = take(PASSWORD, subject, user=user, ip=ip)
    if taken.is_refused:
        raise _refusal("The present password was given wrongly too often.", taken)
    return taken


def fail_password(taken: Taken, actor: Actor) -> None:
    """Record the lock that follows from a wrong password, if one does."""
    if taken.is_the_last and actor.user is not None:
        record("accounts.sign_in_locked", {"user_id": actor.user.pk} | _lock_of(taken), actor=actor)


def succeed_password(taken: Taken) -> None:
    """Forget the tries before, because the password was right."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [taken.subject])


def _refusal(why: str, taken: Taken) -> RateLimited:
    seconds = max(1, taken.seconds_left)
    return RateLimited(f"{why} Try again in {_minutes(seconds)}.", headers={"Retry-After": str(seconds)})


def person_of(name: str) -> User | None:
    """Return the person with that normalised name."""
    return User.objects.filter(username__iexact=name).first()


def fail(attempt: Attempt, actor: Actor) -> None:
    """Record that an attempt failed, and any lock that follows.

    ``actor`` comes from :func:`nobody` and says where the attempt came from.
    """
    with transaction.atomic():
        is_written = attempt.user is not None or not take(UNKNOWN, UNKNOWN.name).is_refused
        about = {"user_id": attempt.user.pk if attempt.user else None, "name_digest": attempt.name_digest}
        if is_written:
            record("accounts.sign_in_failed", about, actor=actor)
        for taken in attempt.taken:
            if taken.is_the_last:
                record("accounts.sign_in_locked", about | _lock_of(taken), actor=actor)


def _lock_of(taken: Taken) -> dict[str, Any]:
    return {"scope": taken.scope.name, "attempts": taken.attempts, "seconds": taken.seconds_left}


def succeed(attempt: Attempt) -> None:
    """Take the attempt out of the counts, because the password was right."""
    _give_back([taken for taken in attempt.taken if taken.scope not in (PAIR, DEVICE)])
    with connection.cursor() as cursor:
        for taken in attempt.taken:
            if taken.scope in (PAIR, DEVICE):
                cursor.execute(_FORGET, [taken.subject])


def _give_back(taken: list[Taken]) -> None:
    if taken:
        with connection.cursor() as cursor:
            cursor.execute(_GIVE_BACK, [[one.subject for one in taken]])


def take(scope: Scope, subject: str, *, user: User | None = None, ip: str | None = None) -> Taken:
    """Count one more attempt in a scope. Return the count."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "subject": subject,
                "scope": scope.name,
                "limit": scope.limit,
                "window": WINDOW.total_seconds(),
                "lock": LOCK.total_seconds(),
                "user": user.pk if user is not None else None,
                "ip": ip,
            },
        )
        attempts, is_refused, seconds = cursor.fetchone()
    return Taken(scope, subject, attempts, is_refused, int(seconds))


def settle(subjects: list[str] | None = None) -> int:
    """Delete the counts whose window is over, of these subjects or of all. Return how many had refusals.

    For each of those, one audit entry says how many attempts were refused.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_OVER, {"subjects": subjects, "limit": SETTLED_AT_ONCE})
            rows = [row for row in cursor.fetchall() if row[1] and row[0] in SCOPES]
        for scope, refused, user_id, ip in rows:
            data = {"scope": scope, "refused": refused, "user_id": user_id}
            record("accounts.sign_ins_counted", data, actor=replace(nobody(), ip=ip))
    return len(rows)


def nobody() -> Actor:
    """Return the actor of failed sign-ins, who has not proved an identity."""
    return Actor.system("sign-in", AuditEntry.Source.WEB)


def unlock(user: User) -> None:
    """Lift the locks on sign-ins under this person's name."""
    digest = name_digest(normalised(user.get_username()))
    with connection.cursor() as cursor:
        subjects = {"name": f"name:{digest}", "pair": f"pair:{digest}:%", "device": f"device:{digest}:%"}
        cursor.execute(_RELEASE, subjects | {"password": f"password:{user.pk}"})


def normalised(name: str) -> str:
    """Return the form of a name that is counted, so that all spellings share the same tries."""
    return unicodedata.normalize("NFKC", name).strip().lower()[:150]


def name_digest(name: str) -> str:
    """Return a digest in place of a typed name, because people type their password into the wrong field."""
    return salted_hmac("accounts.sign_in_name", name, algorithm="sha256").hexdigest()[:32]


def network_of(ip: str | None) -> str:
    """Return the network under which an address is counted: the address itself, or for IPv6 its /64."""
    if ip is None:
        return "none"
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
    return ip


def _is_known_there(user: User | None, network: str) -> bool:
    """Return whether this person signed in from there lately. It queries the database for unknown names, too."""
    sessions = UserSession.objects.filter(
        user_id=user.pk if user is not None else 0,
        last_seen_at__gt=instants.now() - KNOWN_FOR,
        ip__isnull=False,
    )
    return any(
        network_of(ip) == network
        for ip in sessions.order_by("-last_seen_at").values_list("ip", flat=True)[:50]
    )


def _minutes(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return f"{seconds} s" if seconds < 60 else f"{minutes} minute{'' if minutes == 1 else 's'}"
