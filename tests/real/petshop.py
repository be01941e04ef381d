"""The PetShop data (Amazon, CC-BY-4.0) as graph files and as metrics of a real Prometheus."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import SHARED_DATA
from tests.real.prometheus import Metric

PETSHOP = SHARED_DATA / "petshop"
STEP = 300
#: A family that reads what :meth:`Recording.metrics` writes; put it into the file that BALLAST_CONFIG names.
CONFIG = """
[telemetry]
order = ["petshop"]

[telemetry.families.petshop]
service_label = "microservice"
total = { metric = "requests_total" }
bad = [{ metric = "requests_failed_total" }]

[telemetry.families.petshop.percentiles]
unit = "s"
step_seconds = 300
p50 = { metric = "latency_p50_seconds" }
p95 = { metric = "latency_p95_seconds" }
p99 = { metric = "latency_p99_seconds" }
"""


def require_petshop() -> None:
    """Skip where the data is not beside the repository."""
    if not PETSHOP.is_dir():
        pytest.skip(f"{PETSHOP} is not there")


@dataclass(slots=True)
class Node:
    """One component's bins: requests, failures and latency percentiles (seconds) by the start of the bin."""

    total: dict[int, float] = field(default_factory=dict)
    bad: dict[int, float] = field(default_factory=dict)
    percentiles: dict[str, dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """One level of traffic, 49 hours without a fault."""

    level: str
    at: list[int]
    nodes: dict[str, Node]
    edges: list[tuple[str, str]]

    @property
    def start(self) -> datetime:
        return datetime.fromtimestamp(self.at[0], UTC)

    @property
    def end(self) -> datetime:
        """The end of the last bin's hour; that bin stands alone in it."""
        return datetime.fromtimestamp((self.at[-1] // 3600 + 1) * 3600, UTC)

    def write_graph(self, folder: Path) -> None:
        """Write ``services.csv`` and ``dependencies.csv``."""
        names = sorted(self.nodes.keys() | {end for edge in self.edges for end in edge})
        with (folder / "services.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["service_id", "team", "criticality", "external", "published_sla"])
            writer.writerows([name, "petshop", "medium", "false", ""] for name in names)
        with (folder / "dependencies.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["source", "target", "mode", "criticality"])
            writer.writerows([source, target, "sync", "hard"] for source, target in self.edges)

    def metrics(self) -> Iterator[Metric]:
        """Counters that stand still without traffic, and gauges that have a value only where there is one."""
        for name, counts in (("requests_total", "total"), ("requests_failed_total", "bad")):
            yield Metric(name, "counter", list(self._counters(counts)))
        for percentile in ("p50", "p95", "p99"):
            samples = [
                ({"microservice": name}, float(at + STEP), value)
                for name, node in self.nodes.items()
                for at, value in node.percentiles[percentile].items()
            ]
            yield Metric(f"latency_{percentile}_seconds", "gauge", samples)

    def _counters(self, counts: str) -> Iterator[tuple[dict[str, str], float, float]]:
        for name, node in self.nodes.items():
            values: dict[int, float] = getattr(node, counts)
            count = 0.0
            yield {"microservice": name}, float(self.at[0]), count
            for at in range(self.at[0], int(self.end.timestamp()), STEP):
                count += values.get(at, 0.0)
                yield {"microservice": name}, float(at + STEP), count


def load(level: str) -> Recording:
    """Read ``low`` or ``high`` traffic."""
    folder = PETSHOP / f"{level}_traffic"
    nodes: dict[str, Node] = {}
    at: list[int] = []
    with (folder / "noissue" / "metrics.csv").open(encoding="utf-8", newline="") as handle:
        reader = csv.reader(handle)
        names, metrics, statistics = next(reader), next(reader), next(reader)
        next(reader)
        columns = list(zip(names, metrics, statistics, strict=True))[1:]
        for row in reader:
            moment = int(float(row[0]))
            at.append(moment)
            cells = {
                column: float(cell)
                for column, cell in zip(columns, row[1:], strict=True)
                if cell not in {"", "nan"}
            }
            for name in dict.fromkeys(names[1:]):
                node = nodes.setdefault(name, Node(percentiles={"p50": {}, "p95": {}, "p99": {}}))
                requests = cells.get((name, "requests", "Sum"), math.nan)
                available = cells.get((name, "availability", "Average"), math.nan)
                if math.isfinite(requests) and math.isfinite(available):
                    node.total[moment] = requests
                    node.bad[moment] = requests * (1 - available / 100)
                for percentile in ("p50", "p95", "p99"):
                    latency = cells.get((name, "latency", percentile), math.nan)
                    if math.isfinite(latency):
                        node.percentiles[percentile][moment] = latency
    return Recording(level, at, nodes, _edges(folder / "graph.csv"))


def _edges(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.reader(handle)
        targets = next(reader)[1:]
        return [
            (row[0], target)
            for row in reader
            for target, cell in zip(targets, row[1:], strict=True)
            if float(cell or 0) > 0 and target != row[0]
        ]
