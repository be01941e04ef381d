"""A service's recommendation as the API and the pages get it: three stored rows and the active SLOs, in one
document.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from apps.engine.document import AvailabilityPart, LatencyPart, RecommendationDocument
from apps.slos.documents.types import (
    SLI_NAMES,
    AgedDocument,
    ServiceDocument,
    SharedPart,
    SliName,
    Storage,
    StoredPart,
    StoredParts,
    as_availability,
    as_latency,
    as_shared,
)
from apps.slos.formatting import slo_snapshot
from apps.slos.models import ActiveSlo, Recommendation, SliType

SLI_TYPES: tuple[str, ...] = tuple(SliType.values)


def iso(moment: datetime) -> str:
    """An instant as the API writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def part(document: RecommendationDocument, sli_type: str) -> AvailabilityPart | LatencyPart:
    """Return the engine's part for one SLI."""
    if sli_type == SliType.AVAILABILITY:
        return document["availability"]
    return document["latency"]["p95_ms" if sli_type == SliType.LATENCY_P95 else "p99_ms"]


def shared_part(document: RecommendationDocument, sli_type: str) -> SharedPart:
    """Return what holds for all SLIs. The explanation is that of the availability target and stored with it
    alone.
    """
    return {
        "data_quality": document["data_quality"],
        "confidence": document["confidence"],
        "explanation": document["explanation"] if sli_type == SliType.AVAILABILITY else None,
    }


def stored_parts(document: ServiceDocument | None) -> list[tuple[SliName, StoredPart]]:
    """The parts that there are, availability first."""
    parts = document["recommendations"] if document else StoredParts()
    return [(name, parts[name]) for name in SLI_NAMES if name in parts]


def basis_of(part: StoredPart) -> str:
    """What a latency was read from, ``requests`` or ``bins``; empty for an availability and without a number."""
    # An availability alone is composed.
    return "" if "composite" in part else part.get("basis") or ""


def stored_document(
    service_id: str, rows: Sequence[Recommendation], slos: Iterable[ActiveSlo]
) -> ServiceDocument:
    """Put stored rows together again; ``rows`` holds at most one for each SLI and at least one."""
    newest = max(rows, key=lambda row: row.generated_at)
    by_type = {row.sli_type: row for row in rows}
    first = by_type.get(SliType.AVAILABILITY, newest)
    shared = as_shared(first.shared)
    parts: StoredParts = {}
    if (row := by_type.get(SliType.AVAILABILITY)) is not None:
        parts["availability"] = {**_storage(row), **as_availability(row.document)}
    if (row := by_type.get(SliType.LATENCY_P95)) is not None:
        parts["latency_p95"] = {**_storage(row), **as_latency(row.document)}
    if (row := by_type.get(SliType.LATENCY_P99)) is not None:
        parts["latency_p99"] = {**_storage(row), **as_latency(row.document)}
    return {
        "service_id": service_id,
        "as_of": iso(newest.as_of),
        "window_days": newest.window_days,
        "seed": newest.seed,
        "generated_at": iso(newest.generated_at),
        "expires_at": iso(min(row.expires_at for row in rows)),
        "recommendations": parts,
        "data_quality": shared.get("data_quality"),
        "confidence": first.confidence,
        "explanation": shared.get("explanation"),
        "active_slos": {slo.sli_type: slo_snapshot(slo) for slo in slos},
    }


def _storage(row: Recommendation) -> Storage:
    return {
        "id": str(row.pk),
        "status": row.status,
        "version": row.version,
        "generated_at": iso(row.generated_at),
        "expires_at": iso(row.expires_at),
    }


def unstored_document(document: RecommendationDocument, generated_at: datetime) -> ServiceDocument:
    """The same shape for a computation that is shown and not kept, such as one of another window: it has no
    ids.
    """
    made: Storage = {
        "id": None,
        "status": None,
        "version": None,
        "generated_at": iso(generated_at),
        "expires_at": None,
    }
    return {
        "service_id": document["service_id"],
        "as_of": document["as_of"],
        "window_days": document["window_days"],
        "seed": document["seed"],
        "generated_at": iso(generated_at),
        "expires_at": None,
        "recommendations": {
            "availability": {**made, **document["availability"]},
            "latency_p95": {**made, **document["latency"]["p95_ms"]},
            "latency_p99": {**made, **document["latency"]["p99_ms"]},
        },
        "data_quality": document["data_quality"],
        "confidence": document["confidence"],
        "explanation": document["explanation"],
        "active_slos": {},
    }


def with_age(document: ServiceDocument, now: datetime, *, is_stale: bool) -> AgedDocument:
    """Add how old the numbers are, and whether they are older than they should be."""
    generated = datetime.fromisoformat(document["generated_at"])
    return {**document, "is_stale": is_stale, "age_seconds": max(0, round((now - generated).total_seconds()))}


def only(document: AgedDocument, sli_type: str | None) -> AgedDocument:
    """Keep one SLI; ``latency`` keeps both percentiles."""
    if sli_type is None:
        return document
    kept = document["recommendations"].copy()
    for name in SLI_NAMES:
        if name != sli_type and not (sli_type == "latency" and name.startswith("latency")):
            kept.pop(name, None)
    return {**document, "recommendations": kept}
