"""Folders in the file format, written by tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apps.telemetry.imports.importing import ImportResult, import_directory

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
HOUR = 3600
#: Midnight, a week before NOW.
START = int(datetime(2026, 10, 25, tzinfo=UTC).timestamp())

SERVICES = "service_id,team,criticality,external,published_sla"
DEPENDENCIES = "source,target,mode,criticality,calls_per_request"
SLI = "service_id,timestamp,step_seconds,total,bad,p50_ms,p95_ms,p99_ms"
EDGE_SLI = "source,target,timestamp,step_seconds,total,bad"
BUCKETS = "service_id,timestamp,step_seconds,le_ms,count"


def write(folder: Path, name: str, header: str, rows: Iterable[Sequence[Any] | str]) -> None:
    """Write one file; a row is its text or its values."""
    lines = [row if isinstance(row, str) else ",".join(str(value) for value in row) for row in rows]
    (folder / name).write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def write_services(folder: Path, *names: str) -> None:
    """Write ``services.csv`` with nothing but names."""
    write(folder, "services.csv", SERVICES, [(name, "shop", "high", "false", "") for name in names])


def import_folder(folder: Path, *, now: datetime = NOW) -> ImportResult:
    """Import as a run does."""
    from apps.catalog.models import DiscoverySource
    from apps.catalog.services import apply_graph

    return import_directory(
        folder,
        now=now,
        apply_graph=lambda graph: apply_graph(
            graph.services, graph.dependencies, discovery_source=DiscoverySource.FILE, observed_at=now
        ),
    )
