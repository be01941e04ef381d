"""Takes services and calls that a telemetry source knows into the catalog, as discovered rather than declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from django.db import transaction

from apps.catalog.models import Dependency, DiscoverySource, Service
from apps.catalog.schemas import service_id_problem
from apps.catalog.services import upsert_graph
from apps.catalog.spelling import shown
from apps.core.text.names import name_problem
from apps.telemetry.clients.base import Discovery, Edge, TelemetrySource

#: How far back a reading looks for new services before it reads its window.
BEFORE_READING = timedelta(days=31)
#: How many new names a run's summary has.
NAMES_KEPT = 20

#: How many misleading names a warning lists.
MISLEADING_SHOWN = 5

type Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Findings:
    """What a source has that the catalog can take, and which parts are new."""

    start: datetime
    end: datetime
    services: list[str]
    edges: list[Edge]
    new_services: list[str]
    new_edges: list[Edge]
    reading: Discovery
    warnings: list[str] = field(default_factory=list)


def look(
    source: TelemetrySource,
    start: datetime,
    end: datetime,
    *,
    max_seconds: float | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Findings:
    """Ask the source, and compare the answer with the catalog. Nothing is stored.

    Parameters:
        start: start of the first hour.
        end: end of the last hour.
        max_seconds: look only as far back as this time allows.
        progress: gets the days done and in total.

    Raises:
        SourceError: the source cannot be read.
    """
    reading = source.discover(
        int(start.timestamp()), int(end.timestamp()), max_seconds=max_seconds, progress=progress
    )
    possible = [name for name in reading.services if not service_id_problem(name)]
    misleading = {name for name in possible if name_problem(name)}
    # What is in the catalog under such a name goes on being read; nothing new comes in under one.
    misleading -= set(Service.objects.filter(service_id__in=misleading).values_list("service_id", flat=True))
    usable = [name for name in possible if name not in misleading]
    demo = set(
        Service.objects.filter(origin="demo", service_id__in=usable).values_list("service_id", flat=True)
    )
    services = [name for name in usable if name not in demo]
    taken = set(services)
    edges = [edge for edge in reading.calls if taken.issuperset(edge)]
    known = set(Service.objects.filter(service_id__in=services).values_list("service_id", flat=True))
    callers = {source_id for source_id, _ in edges}
    known_edges = set(
        Dependency.objects.filter(source__service_id__in=callers).values_list(
            "source__service_id", "target__service_id"
        )
    )
    return Findings(
        start=datetime.fromtimestamp(reading.start, UTC),
        end=end,
        services=services,
        edges=edges,
        new_services=[name for name in services if name not in known],
        new_edges=[edge for edge in edges if edge not in known_edges],
        reading=reading,
        warnings=[
            *_left_out(reading, len(reading.services) - len(possible), demo),
            *_misleading(sorted(misleading)),
            *reading.quality.warnings,
        ],
    )


class Discovered(TypedDict):
    """What a discovery put into the catalog, as its run keeps it."""

    services: int
    new_services: int
    edges: int
    new_edges: int
    called_from_outside: int
    new_names: list[str]


def take_in(findings: Findings) -> Discovered:
    """Put what was found into the catalog, and return the summary for the run. Remarks on ids join the warnings.

    Known services keep their declarations. Each edge becomes a sighting of the service graph at the time when it was
    last seen, so an edge that has been silent for long is stale from the start.
    """
    calls = findings.reading.calls
    with transaction.atomic():
        counts = upsert_graph(
            [{"service_id": name} for name in findings.services],
            [
                {
                    "source": caller,
                    "target": called,
                    "observed_at": datetime.fromtimestamp(calls[caller, called].last_seen, UTC),
                }
                | ({"mode": "async"} if calls[caller, called].is_async else {})
                for caller, called in findings.edges
            ],
            discovery_source=DiscoverySource.OTEL,
            observed_at=findings.end,
        )
    findings.warnings += counts["warnings"]
    return {
        "services": len(findings.services),
        "new_services": counts["services"]["created"],
        "edges": len(findings.edges),
        "new_edges": counts["dependencies"]["created"],
        "called_from_outside": findings.reading.called_from_outside,
        "new_names": findings.new_services[:NAMES_KEPT],
    }


def take_in_newest(source: TelemetrySource, start: datetime, end: datetime) -> dict[str, int]:
    """Take in what is new in the newest days of a window, before the window is read; return how much was new.

    Raises:
        SourceError: the source cannot be read.
    """
    summary = take_in(look(source, max(start, end - BEFORE_READING), end))
    return {"new_services": summary["new_services"], "new_edges": summary["new_edges"]}


def _misleading(names: list[str]) -> list[str]:
    if not names:
        return []
    listed = "; ".join(f"{shown(name)} {name_problem(name)}" for name in names[:MISLEADING_SHOWN])
    more = f"; and {len(names) - MISLEADING_SHOWN:,} more" if len(names) > MISLEADING_SHOWN else ""
    return [f"Left out because of misleading names: {listed}{more}."]


def _left_out(reading: Discovery, unusable: int, demo: set[str]) -> list[str]:
    warnings = []
    if reading.services_left_out:
        warnings.append(
            f"{len(reading.services) + reading.services_left_out:,} services were found; only the "
            f"{len(reading.services):,} with the most requests are taken. Narrow the metric families in the "
            "configuration (docs/telemetry.md) to those that matter."
        )
    if reading.edges_left_out:
        warnings.append(f"{reading.edges_left_out:,} calls between services were left out.")
    if unusable:
        warnings.append(
            f"{unusable:,} names cannot be service ids (control characters, white space at an end, or too "
            "long) and were left out."
        )
    if demo:
        some = ", ".join(sorted(demo)[:5])
        warnings.append(
            f"{len(demo):,} names belong to the demo and were left out ({some}). Remove the demo to read "
            "your own services of these names: manage.py demo remove."
        )
    return warnings
