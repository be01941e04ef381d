"""Handles an ingestion from its first part to its end: received, checked as a whole, applied at once.

It is a run that waits until all its parts have come. Applying is one transaction that also ends the run. So a worker
may be killed at any point, and another may start the same ingestion at any time: incomplete work is rolled back, and
complete work is not repeated.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from apps.catalog import runs
from apps.catalog.ingesting.ownership import check_ownership
from apps.catalog.ingesting.reporting import ingestion_state
from apps.catalog.ingesting.validation import validate_graph
from apps.catalog.models import DiscoverySource, Ingestion, IngestionPart
from apps.catalog.services import apply_graph
from apps.catalog.spelling import Spellings
from apps.core import instants
from apps.core.actions import Actor
from apps.core.errors import Conflict
from apps.core.models import AuditEntry
from apps.core.runs import Holding, end, execute, make_ready, start

RECEIVE_WITHIN = timedelta(days=7)
"""An ingestion whose parts have not all come within this time is abandoned."""


def create(*, discovery_source: DiscoverySource, parts: int, actor: Actor) -> Ingestion:
    """Start an ingestion that waits for its parts, inside the caller's transaction."""
    ingestion = start(
        runs.INGEST,
        runs.Ingest(),
        actor=actor,
        model=Ingestion,
        is_preparing=True,
        discovery_source=discovery_source,
        parts_expected=parts,
    )
    assert isinstance(ingestion, Ingestion)
    return ingestion


def receive(ingestion: Ingestion, *, number: int, payload: Mapping[str, Any]) -> bool:
    """Keep one part of a locked ingestion. Return whether this part made the ingestion complete.

    Sending the same part again changes nothing. Raises :class:`Conflict` for different content under the same number,
    and for a further part of a complete ingestion.
    """
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    known = IngestionPart.objects.filter(ingestion=ingestion, number=number).first()
    if known is not None:
        if known.digest != digest:
            raise Conflict(f"Part {number} of this ingestion was already received with different content.")
        return False
    if ingestion.state != Ingestion.State.PREPARING:
        raise Conflict(
            f"This ingestion is {ingestion_state(ingestion)} and takes no further parts. Start a new one."
        )
    if number > ingestion.parts_expected:
        raise Conflict(f"This ingestion has {ingestion.parts_expected} parts; there is no part {number}.")
    IngestionPart.objects.create(ingestion=ingestion, number=number, payload=payload, digest=digest)
    ingestion.parts_received += 1
    ingestion.progress_total += len(payload["services"]) + len(payload["dependencies"])
    ready = ingestion.parts_received == ingestion.parts_expected
    ingestion.save(update_fields=["parts_received", "progress_total"])
    if ready:
        make_ready(ingestion)
    return ready


def run(ingestion_id: uuid.UUID | str) -> Ingestion.State | None:
    """Apply an ingestion in this process. Return its state afterwards, or ``None`` when there was nothing to do.

    There is nothing to do if it is over or another worker has it. An unexpected error is raised after the run has been
    marked for another attempt.
    """
    done = execute(ingestion_id, raises=True)
    return None if done is None else Ingestion.State(done.state)


def apply(holding: Holding) -> None:
    """Apply a claimed ingestion and end it, in one transaction."""
    with holding.fenced():
        ingestion = Ingestion.objects.select_related("requested_by").get(pk=holding.run.pk)
        _apply(ingestion, holding)


def incomplete(now: datetime | None = None) -> list[uuid.UUID]:
    """Return the ingestions that have waited too long for a part."""
    before = (now or instants.now()) - RECEIVE_WITHIN
    waiting = Ingestion.objects.filter(state=Ingestion.State.PREPARING, created_at__lt=before)
    return list(waiting.order_by("created_at").values_list("pk", flat=True)[:100])


def _apply(ingestion: Ingestion, holding: Holding) -> None:
    now = instants.now()
    observed_at = {part: at for part, at, _ in _parts(ingestion)}
    spellings = Spellings.of_catalog(ingestion.discovery_source)
    graph, problems = validate_graph(
        ((part, payload) for part, _, payload in _parts(ingestion)), now=now, spellings=spellings
    )
    if not problems and ingestion.requested_by is not None:
        check_ownership(graph, ingestion.requested_by, problems)
    if problems:
        end(holding, "failed", summary={}, errors=problems.documents(), error_count=problems.count)
        return
    for row, place in zip(graph.dependencies, graph.dependency_places, strict=True):
        if row.observed_at is None:
            row.observed_at = observed_at[place.part]
    summary = apply_graph(
        graph.services,
        graph.dependencies,
        discovery_source=ingestion.discovery_source,
        observed_at=ingestion.created_at,
        origin=ingestion.origin,
        now=now,
        report=lambda rows: holding.progress(rows, ingestion.rows_total),
        actor=_actor(ingestion),
    )
    end(holding, "completed", summary={**summary, "warnings": spellings.remarks()})


def _parts(ingestion: Ingestion) -> Iterator[tuple[int, datetime, dict[str, Any]]]:
    for part in ingestion.parts.order_by("number").iterator(chunk_size=1):
        sent = part.payload.get("observed_at")
        yield part.number, datetime.fromisoformat(sent) if sent else ingestion.created_at, part.payload


def _actor(ingestion: Ingestion) -> Actor:
    if ingestion.requested_by is None:
        return Actor.system("ingestion")
    return Actor(ingestion.requested_by, AuditEntry.Source.TASK, ingestion.requested_by_name)
