"""Computing recommendations: load, run the engine, store. Only workers and commands import this module."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import cache
from itertools import islice

import structlog
from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.catalog.models import Service
from apps.catalog.queries import cycle_members
from apps.core import instants
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.instants import whole_hour
from apps.engine.archetypes import Archetypes
from apps.engine.assessment import Assessment
from apps.engine.document import RecommendationDocument
from apps.engine.reading import Known
from apps.engine.recommend import conclude
from apps.slos.documents import recommendation_cache
from apps.slos.documents.assembled import unstored_document
from apps.slos.documents.types import Answer
from apps.slos.making import footing, inputs, storing
from apps.slos.making.side_by_side import Asked, computers
from apps.slos.models import Recommendation, SliType
from apps.telemetry.queries import NEWEST_END, newest_complete_end, newest_end

logger = structlog.get_logger(__name__)

type Progress = Callable[[int, int], None]
type Fence = Callable[[], AbstractContextManager[object]]
"""Opens a transaction that commits only while the caller still holds its run (:meth:`Holding.fenced`)."""

STORED_AT_ONCE = 100
MAX_ROUNDS = 3
RENEW_BEFORE = timedelta(minutes=90)
"""Recommendations are renewed this long before they expire, so that pages need not wait for one."""
RENEW_WHEN_BEHIND = timedelta(hours=24)
_ONE = "slos.compute"
WAIT_SECONDS = 10.0
"""How long a computation waits for another of the same service: longer than one takes."""
POLL_SECONDS = 0.05

_ENDS = f"""
SELECT s.id, {NEWEST_END}
FROM catalog_service s WHERE %(all)s OR s.id = ANY(%(services)s) ORDER BY s.id
"""  # noqa: S608

# A recommendation is due when one is missing or about to expire, when it rests on what was there before a change, when
# a day of data has arrived since, or when its availability had too little data and there is more now. So a service
# without latencies is not due every hour.
_DUE = f"""
WITH ends AS MATERIALIZED ({_ENDS})
SELECT e.id, e.max FROM ends e(id, max)
WHERE (
    SELECT count(*) FILTER (WHERE r.expires_at > %(soon)s
        AND (%(outdated)s::timestamptz IS NULL OR r.computed_from >= %(outdated)s) AND (e.max IS NULL OR (
        r.as_of > e.max - make_interval(secs => %(behind)s)
        AND (r.verdict IN ('ok', 'cold_start') OR r.sli_type <> 'availability' OR r.as_of >= e.max))))
    FROM slos_recommendation r WHERE r.service_id = e.id AND r.status = 'current'
) < 3
ORDER BY e.max NULLS LAST, e.id
"""  # noqa: S608


# Recommendations about to expire with no newer data; rows are locked in the order in which they are stored.
_PROLONG = f"""
WITH ends AS MATERIALIZED ({_ENDS}), same AS MATERIALIZED (
    SELECT r.id FROM slos_recommendation r JOIN ends e(id, max) ON e.id = r.service_id
    WHERE r.status = 'current' AND r.expires_at > %(now)s AND r.expires_at <= %(soon)s AND r.as_of >= e.max
    ORDER BY r.service_id, r.sli_type FOR UPDATE OF r SKIP LOCKED
)
UPDATE slos_recommendation r SET expires_at = %(until)s FROM same WHERE r.id = same.id RETURNING r.service_id
"""  # noqa: S608


@cache
def archetypes() -> Archetypes:
    """Return the priors: those of the installation's own file, if it has one, else those that ship."""
    for path in (settings.CONFIG_FILE, settings.BASE_DIR / "fixtures" / "archetypes.toml"):
        if path.is_file():
            document = tomllib.loads(path.read_text())
            if "archetypes" in document:
                return Archetypes.from_mapping(document)
    return Archetypes.built_in()


def default_as_of(now: datetime | None = None) -> datetime:
    """Return the end of the newest complete bin over the fleet, or the last full hour without data."""
    now = now or instants.now()
    return newest_complete_end(now) or whole_hour(now)


def service_as_of(service_pk: int, now: datetime) -> datetime:
    """Return the end of a service's newest complete hour, or that of the fleet (:func:`default_as_of`) if it has
    none.
    """
    return newest_end(service_pk, now) or default_as_of(now)


class Unassessable(Exception):
    """The engine failed on a service: the message names it and has the traceback."""


def documents(
    groups: Sequence[tuple[datetime, Sequence[Service]]],
    *,
    window_days: int | None = None,
    seed: int = 0,
    has_stored: bool = False,
    leave_out: bool = False,
) -> Generator[RecommendationDocument]:
    """Yield the engine's document of each service, in the order given. Stores nothing.

    ``groups`` are services by the instant at which each is computed. With ``has_stored``, the edges below them are
    taken as their own runs stored them. Without, these are estimated too, only from what was known at the instant, of
    which there must be one. The graph below all services is composed once, while they are assessed, by several
    processes where there are many. With ``leave_out`` a service on which the engine fails is logged and left out;
    without, :class:`Unassessable` is raised in its place. If it could be read, its edges still count for others. Raises
    ``ValueError`` for a service given twice, or several instants without ``has_stored``.
    """
    names = [service.service_id for _, services in groups for service in services]
    if len(set(names)) < len(names):
        raise ValueError("a service cannot be computed twice in one run")
    if not has_stored and len({as_of for as_of, services in groups if services}) > 1:
        raise ValueError("what stands below can be computed at one instant alone")
    if not names:
        return
    cycles = cycle_members()
    known: dict[str, Known] = {}
    with computers(len(names)) as by:
        for as_of, services in groups:
            asked = Asked(int(as_of.timestamp()), window_days or settings.WINDOW_DAYS, seed, archetypes())
            for batch in inputs.batches(services, as_of, cycles=cycles):
                known |= by.begin(batch, asked)
        graph = footing.figures(groups, known, has_stored=has_stored, cycles=cycles, seed=seed)
        for name in names:
            found = by.found(name)
            if isinstance(found, Assessment):
                yield conclude(found, graph.get(name))
            elif leave_out:
                logger.error("slos.assessment_failed", service=name, error=found.error)
            else:
                raise Unassessable(f"{name} could not be assessed: {found.error}")


def store(
    found: Sequence[RecommendationDocument], *, computed_from: datetime, actor: Actor, rationale: str
) -> int:
    """Store documents through the action that only the system may use; return how many services.

    ``computed_from`` is the database's time just before anything was read for them.
    """
    result = dispatch(
        "slos.store_recommendations",
        {"documents": list(found), "computed_from": computed_from, "rationale": rationale},
        actor=actor,
    )
    return int(result.value["services"])


def compute_one(
    service_pk: int, *, window_days: int, store: bool, asked_by: str, fence: Fence = nullcontext
) -> Answer:
    """Compute one service from its newest data, and store it if asked; return the answer for the waiting caller.

    It is stored inside ``fence()``.
    """
    now = instants.now()
    with _one_at_a_time([service_pk]):
        if store and window_days == settings.WINDOW_DAYS and _made_since(service_pk, now):
            return {"state": "stored"}
        return _compute_one(service_pk, window_days=window_days, store=store, asked_by=asked_by, fence=fence)


def _made_since(service_pk: int, moment: datetime) -> bool:
    """Whether an earlier caller with the same request has had it computed since ``moment``."""
    made = Recommendation.objects.filter(
        service=service_pk,
        status=Recommendation.Status.CURRENT,
        generated_at__gte=moment,
        expires_at__gt=moment,
    )
    return made.count() == len(SliType.values)


def _compute_one(service_pk: int, *, window_days: int, store: bool, asked_by: str, fence: Fence) -> Answer:
    now = instants.now()
    service = Service.objects.get(pk=service_pk)
    as_of = service_as_of(service_pk, now)
    (document,) = documents([(as_of, [service])], window_days=window_days, has_stored=True)
    if not store:
        return {"state": "computed", "document": unstored_document(document, now)}
    with fence():
        _keep([document], now, f"asked for by {asked_by}" if asked_by else "made when none was fresh")
    return {"state": "stored"}


def _keep(found: Sequence[RecommendationDocument], computed_from: datetime, reason: str) -> int:
    actor = Actor.system("recommendations")
    return store(found, computed_from=computed_from, actor=actor, rationale=reason)


def due(
    services: Sequence[int] | None, now: datetime, *, outdated: datetime | None = None
) -> dict[datetime | None, list[int]]:
    """Return the services whose recommendations must be computed again, by the end of their newest data.

    What was computed from the state before ``outdated`` is due, also where nobody has marked it yet.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _DUE,
            {
                "now": now,
                "all": services is None,
                "services": list(services or ()),
                "soon": now + RENEW_BEFORE,
                "behind": RENEW_WHEN_BEHIND.total_seconds(),
                "outdated": outdated,
            },
        )
        found: dict[datetime | None, list[int]] = {}
        for pk, end in cursor.fetchall():
            found.setdefault(end, []).append(pk)
        return found


def prolong(now: datetime | None = None) -> int:
    """Extend recommendations that are about to expire and would come out the same. Return of how many services.

    A recommendation is computed at the end of its service's newest data, and reads nothing after that instant. So where
    no hour has arrived since, and neither the graph nor imported history has outdated it, computing it again would give
    the same numbers. An expired one is computed again in any case.
    """
    now = now or instants.now()
    with connection.cursor() as cursor:
        cursor.execute(
            _PROLONG,
            {
                "now": now,
                "all": True,
                "services": [],
                "soon": now + RENEW_BEFORE,
                "until": now + storing.LIFETIME,
            },
        )
        pks = [pk for (pk,) in cursor.fetchall()]
    recommendation_cache.forget(sorted(set(pks)))
    return len(set(pks))


def refresh(
    services: Sequence[int] | None,
    *,
    reason: str,
    outdated: datetime | None = None,
    progress: Progress = lambda _done, _all: None,
    fence: Fence = nullcontext,
) -> int:
    """Compute what is due again, of these services or of all. Return how many.

    What is about to expire and would come out the same is extended, and neither computed nor rewritten. Idempotent:
    what was just computed is not due. The whole fleet is checked again at the end, so that nothing that became due
    meanwhile is left. What was computed from the state before ``outdated`` is due too. ``progress`` receives how many
    of how many are done, and may stop the run by raising. Everything is stored inside ``fence()``.
    """
    if services is not None:
        # Two callers that ask for the same wait for each other; the second finds that nothing is due any more.
        with _one_at_a_time(services):
            return _refresh_due(services, reason, outdated, progress, fence)
    with fence():
        prolong()
    made = 0
    for _ in range(MAX_ROUNDS):
        count = _refresh_due(None, reason, outdated, progress, fence)
        made += count
        if not count:
            break
    return made


def _refresh_due(
    services: Sequence[int] | None,
    reason: str,
    outdated: datetime | None,
    progress: Progress,
    fence: Fence,
) -> int:
    now = instants.now()
    made = 0
    groups = [
        (end or default_as_of(now), list(Service.objects.filter(pk__in=pks).order_by("service_id")))
        for end, pks in due(services, now, outdated=outdated).items()
    ]
    wanted = sum(len(some) for _, some in groups)
    with closing(documents(groups, has_stored=True, leave_out=True)) as found:
        while some := list(islice(found, STORED_AT_ONCE)):
            with fence():
                made += _keep(some, now, reason)
            progress(made, wanted)
    logger.info("slos.recommendations_refreshed", services=made, reason=reason)
    return made


@contextmanager
def _one_at_a_time(services: Sequence[int]) -> Iterator[None]:
    """Hold the lock of each of a few services, or one lock for many, so that the same is not computed twice at once.

    What is stored is right without it too: after :data:`WAIT_SECONDS` the caller goes on, because whoever has the lock
    may be frozen or cut off.
    """
    keys = sorted(set(services)) if len(services) <= footing.FEW else [0]
    until = time.monotonic() + WAIT_SECONDS
    taken: list[int] = []
    with connection.cursor() as cursor:
        try:
            for key in keys:
                while not (is_mine := _try(cursor, key)) and time.monotonic() < until:
                    time.sleep(POLL_SECONDS)
                if is_mine:
                    taken.append(key)
                else:
                    logger.warning("slos.computing_unlocked", service=key, waited_seconds=WAIT_SECONDS)
            yield
        finally:
            for key in taken:
                cursor.execute(
                    "SELECT pg_advisory_unlock(hashtext(%s), %s::bigint::bit(32)::int)", [_ONE, key]
                )


def _try(cursor: CursorWrapper, key: int) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s::bigint::bit(32)::int)", [_ONE, key])
    row = cursor.fetchone()
    return bool(row and row[0])
