"""An ingestion from its first part to its end: received, checked as a whole, applied at once.

``receiving`` (parts are missing) → ``pending`` → ``running`` → ``completed`` or ``failed``; ``abandoned`` from the
first two. Applying is one transaction that ends with the state, so a worker may be killed between any two lines and
another may start the same ingestion at any time: what was half done is rolled back, what is done is not done again.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.catalog.ingesting import progress
from apps.catalog.ingesting.ownership import check_ownership
from apps.catalog.ingesting.validation import Problems, validate_graph
from apps.catalog.models import DiscoverySource, Ingestion, IngestionPart
from apps.catalog.services import apply_graph
from apps.catalog.spelling import Spellings
from apps.core import outbox
from apps.core.actions import Actor
from apps.core.errors import Conflict
from apps.core.models import AuditEntry

logger = structlog.get_logger(__name__)

MAX_ATTEMPTS = 5
LEFT_BEHIND_AFTER = timedelta(minutes=1)
"""A ready ingestion that nobody works on after this long is given to a worker again."""
RECEIVE_WITHIN = timedelta(days=7)
"""An ingestion whose parts have not all come by then is abandoned."""


def create(*, discovery_source: DiscoverySource, parts: int, actor: Actor) -> Ingestion:
    """Begin an ingestion that waits for its parts."""
    ingestion = Ingestion.objects.create(
        discovery_source=discovery_source,
        state=Ingestion.State.RECEIVING,
        parts_expected=parts,
        requested_by=actor.user,
        requested_by_name=actor.name,
    )
    ingestion.refresh_from_db()
    return ingestion


def receive(ingestion: Ingestion, *, number: int, payload: Mapping[str, Any]) -> bool:
    """Keep one part of a locked ingestion. Returns whether it is ready now; it was not before.

    The same part sent again changes nothing. Raises :class:`Conflict` for another content under the same number, and
    for a part of an ingestion that has them all.
    """
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    known = IngestionPart.objects.filter(ingestion=ingestion, number=number).first()
    if known is not None:
        if known.digest != digest:
            raise Conflict(f"Part {number} of this ingestion was received with a different content.")
        return False
    if ingestion.state != Ingestion.State.RECEIVING:
        raise Conflict(f"This ingestion is {ingestion.state} and takes no further parts. Begin a new one.")
    if number > ingestion.parts_expected:
        raise Conflict(f"This ingestion has {ingestion.parts_expected} parts; there is no part {number}.")
    IngestionPart.objects.create(ingestion=ingestion, number=number, payload=payload, digest=digest)
    ingestion.parts_received += 1
    ingestion.rows_total += len(payload["services"]) + len(payload["dependencies"])
    ready = ingestion.parts_received == ingestion.parts_expected
    if ready:
        ingestion.state = Ingestion.State.PENDING
    ingestion.save(update_fields=["parts_received", "rows_total", "state"])
    return ready


def run(ingestion_id: uuid.UUID | str, *, now: datetime | None = None) -> Ingestion.State | None:
    """Apply an ingestion that is ready. Returns its state afterwards, or ``None`` when there was nothing to do.

    Nothing is done where it is over, or another worker is at it. An unexpected error is raised again, to be retried,
    until :data:`MAX_ATTEMPTS`; then the ingestion has failed. ``now`` is when it begins, for tests; it ends as much
    later as it took.
    """
    now = now or timezone.now()
    watch = _Watch(now)
    attempts = _claim(ingestion_id, now)
    if attempts is None:
        return None
    if attempts > MAX_ATTEMPTS:
        return _give_up(ingestion_id, "its worker was killed each time")
    try:
        with transaction.atomic():
            ingestion = _lock(ingestion_id, Ingestion.State.RUNNING)
            return None if ingestion is None else _apply(ingestion, watch)
    except Exception as error:
        logger.exception("ingestion.interrupted", ingestion=str(ingestion_id), attempts=attempts)
        if attempts >= MAX_ATTEMPTS:
            return _give_up(ingestion_id, f"{type(error).__name__}: {error}")
        raise


def left_behind(now: datetime | None = None) -> list[uuid.UUID]:
    """Return the ingestions that are ready, or were begun, and that no worker holds."""
    before = (now or timezone.now()) - LEFT_BEHIND_AFTER
    with transaction.atomic():
        return list(
            Ingestion.objects.select_for_update(skip_locked=True)
            .filter(state__in=[Ingestion.State.PENDING, Ingestion.State.RUNNING])
            .filter(Q(started_at__lt=before) | Q(started_at__isnull=True, created_at__lt=before))
            .order_by("created_at")
            .values_list("pk", flat=True)[:100]
        )


def incomplete(now: datetime | None = None) -> list[uuid.UUID]:
    """Return the ingestions that have waited too long for a part."""
    before = (now or timezone.now()) - RECEIVE_WITHIN
    waiting = Ingestion.objects.filter(state=Ingestion.State.RECEIVING, created_at__lt=before)
    return list(waiting.order_by("created_at").values_list("pk", flat=True)[:100])


def finish(ingestion: Ingestion, state: Ingestion.State, now: datetime) -> None:
    """End a locked ingestion and drop what was sent."""
    ingestion.state, ingestion.finished_at = state, now
    ingestion.save(
        update_fields=["state", "finished_at", "rows_done", "summary", "errors", "error_count"],
    )
    ingestion.parts.update(payload={})


def _lock(ingestion_id: uuid.UUID | str, *states: Ingestion.State) -> Ingestion | None:
    return (
        Ingestion.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(pk=ingestion_id, state__in=states)
        .first()
    )


def _claim(ingestion_id: uuid.UUID | str, now: datetime) -> int | None:
    """Count an attempt before anything can go wrong in it: a worker that is killed cannot count it afterwards."""
    with transaction.atomic():
        ingestion = _lock(ingestion_id, Ingestion.State.PENDING, Ingestion.State.RUNNING)
        if ingestion is None:
            return None
        ingestion.state = Ingestion.State.RUNNING
        ingestion.attempts += 1
        ingestion.started_at = now
        ingestion.save(update_fields=["state", "attempts", "started_at"])
        return ingestion.attempts


@dataclass(frozen=True, slots=True)
class _Watch:
    """Tells the time from a given instant on, by a clock that nobody sets."""

    began: datetime
    _at: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return self.began + timedelta(seconds=time.monotonic() - self._at)


def _apply(ingestion: Ingestion, watch: _Watch) -> Ingestion.State:
    now = watch.began
    observed_at = {part: at for part, at, _ in _parts(ingestion)}
    spellings = Spellings.of_catalog(ingestion.discovery_source)
    graph, problems = validate_graph(
        ((part, payload) for part, _, payload in _parts(ingestion)), now=now, spellings=spellings
    )
    if not problems and ingestion.requested_by is not None:
        check_ownership(graph, ingestion.requested_by, problems)
    if problems:
        _refuse(ingestion, problems, watch.now())
        return Ingestion.State.FAILED
    for row, place in zip(graph.dependencies, graph.dependency_places, strict=True):
        if row.observed_at is None:
            row.observed_at = observed_at[place.part]

    ingestion.summary = apply_graph(
        graph.services,
        graph.dependencies,
        discovery_source=ingestion.discovery_source,
        observed_at=ingestion.created_at,
        origin=ingestion.origin,
        now=now,
        report=partial(progress.report, ingestion.pk),
        actor=_actor(ingestion),
    )
    ingestion.summary["warnings"] = spellings.remarks()
    ingestion.rows_done = ingestion.rows_total
    ingestion.errors, ingestion.error_count = [], 0
    finish(ingestion, Ingestion.State.COMPLETED, watch.now())
    _tell(ingestion)
    return Ingestion.State.COMPLETED


def _parts(ingestion: Ingestion) -> Iterator[tuple[int, datetime, dict[str, Any]]]:
    for part in ingestion.parts.order_by("number").iterator(chunk_size=1):
        sent = part.payload.get("observed_at")
        yield part.number, datetime.fromisoformat(sent) if sent else ingestion.created_at, part.payload


def _refuse(ingestion: Ingestion, problems: Problems, now: datetime) -> None:
    ingestion.errors, ingestion.error_count = problems.documents(), problems.count
    ingestion.summary, ingestion.rows_done = {}, 0
    finish(ingestion, Ingestion.State.FAILED, now)
    _tell(ingestion)


def _give_up(ingestion_id: uuid.UUID | str, reason: str) -> Ingestion.State | None:
    with transaction.atomic():
        ingestion = _lock(ingestion_id, Ingestion.State.RUNNING)
        if ingestion is None:
            return None
        message = f"Applying this was tried {MAX_ATTEMPTS} times; {reason}. Nothing was changed."
        ingestion.errors = [
            {"part": 0, "list": "", "row": 0, "field": "", "path": "", "message": message[:2000]}
        ]
        ingestion.error_count = 1
        finish(ingestion, Ingestion.State.FAILED, timezone.now())
        _tell(ingestion)
    return Ingestion.State.FAILED


def _actor(ingestion: Ingestion) -> Actor:
    if ingestion.requested_by is None:
        return Actor.system("ingestion")
    return Actor(ingestion.requested_by, AuditEntry.Source.TASK, ingestion.requested_by_name)


def _tell(ingestion: Ingestion) -> None:
    """Leave the audit entry and the event of an ingestion's end, in its transaction."""
    AuditEntry.objects.create(
        action="catalog.apply_ingestion",
        actor=ingestion.requested_by,
        actor_name=ingestion.requested_by_name,
        source=AuditEntry.Source.TASK,
        object_type="ingestion",
        object_id=str(ingestion.pk),
        object_label=str(ingestion),
        before={"state": Ingestion.State.PENDING},
        after={"state": ingestion.state, "error_count": ingestion.error_count, **ingestion.summary},
    )
    outbox.publish(
        "catalog.ingestion_finished",
        {"ingestion_id": str(ingestion.pk), "state": ingestion.state},
        aggregate=f"ingestion:{ingestion.pk}",
    )
