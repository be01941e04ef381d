"""A service's recommendation as the API and the pages get it: three stored rows and the active SLOs, in one
document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from apps.slos.formatting import slo_snapshot
from apps.slos.models import ActiveSlo, Recommendation, SliType

SLI_TYPES: tuple[str, ...] = tuple(SliType.values)

ENGINE_PARTS: Mapping[str, tuple[str, ...]] = {
    SliType.AVAILABILITY: ("availability",),
    SliType.LATENCY_P95: ("latency", "p95_ms"),
    SliType.LATENCY_P99: ("latency", "p99_ms"),
}
"""Where each SLI's part stands in the engine's document."""


def iso(moment: datetime) -> str:
    """An instant as the API writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def part(document: Mapping[str, Any], sli_type: str) -> dict[str, Any]:
    """Return the engine's part for one SLI."""
    found: Any = document
    for key in ENGINE_PARTS[sli_type]:
        found = found[key]
    return dict(found)


def shared_part(document: Mapping[str, Any], sli_type: str) -> dict[str, Any]:
    """Return what holds for all SLIs. The explanation is that of the availability target and stored with it
    alone.
    """
    shared = {key: document[key] for key in ("data_quality", "confidence")}
    shared["explanation"] = document["explanation"] if sli_type == SliType.AVAILABILITY else None
    return shared


def stored_document(
    service_id: str, rows: Sequence[Recommendation], slos: Iterable[ActiveSlo]
) -> dict[str, Any]:
    """Put stored rows together again; ``rows`` holds at most one for each SLI and at least one."""
    newest = max(rows, key=lambda row: row.generated_at)
    by_type = {row.sli_type: row for row in rows}
    first = by_type.get(SliType.AVAILABILITY, newest)
    return {
        "service_id": service_id,
        "as_of": iso(newest.as_of),
        "window_days": newest.window_days,
        "seed": newest.seed,
        "generated_at": iso(newest.generated_at),
        "expires_at": iso(min(row.expires_at for row in rows)),
        "recommendations": {
            sli_type: {
                "id": str(row.pk),
                "status": row.status,
                "version": row.version,
                "generated_at": iso(row.generated_at),
                "expires_at": iso(row.expires_at),
                **row.document,
            }
            for sli_type in SLI_TYPES
            if (row := by_type.get(sli_type)) is not None
        },
        "data_quality": first.shared.get("data_quality"),
        "confidence": first.confidence,
        "explanation": first.shared.get("explanation"),
        "active_slos": {slo.sli_type: slo_snapshot(slo) for slo in slos},
    }


def unstored_document(document: Mapping[str, Any], generated_at: datetime) -> dict[str, Any]:
    """The same shape for a computation that is shown and not kept, such as one of another window: it has no
    ids.
    """
    return {
        "service_id": document["service_id"],
        "as_of": document["as_of"],
        "window_days": document["window_days"],
        "seed": document["seed"],
        "generated_at": iso(generated_at),
        "expires_at": None,
        "recommendations": {
            sli_type: {
                "id": None,
                "status": None,
                "version": None,
                "generated_at": iso(generated_at),
                "expires_at": None,
                **part(document, sli_type),
            }
            for sli_type in SLI_TYPES
        },
        "data_quality": document["data_quality"],
        "confidence": document["confidence"],
        "explanation": document["explanation"],
        "active_slos": {},
    }


def with_age(document: Mapping[str, Any], now: datetime, *, is_stale: bool) -> dict[str, Any]:
    """Add how old the numbers are, and whether they are older than they should be."""
    generated = datetime.fromisoformat(document["generated_at"])
    return {**document, "is_stale": is_stale, "age_seconds": max(0, round((now - generated).total_seconds()))}


def only(document: Mapping[str, Any], sli_type: str | None) -> dict[str, Any]:
    """Keep one SLI; ``latency`` keeps both percentiles."""
    if sli_type is None:
        return dict(document)
    kept = {
        name: value
        for name, value in document["recommendations"].items()
        if name == sli_type or (sli_type == "latency" and name.startswith("latency"))
    }
    return {**document, "recommendations": kept}
