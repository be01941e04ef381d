"""Reads the files beside it: what exporters emit, and what a family has to make of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.real.prometheus import Metric

FOLDER = Path(__file__).parent
#: A probe fails at every such sample.
PROBE_FAILS_EVERY = 8
_LINE = re.compile(r"(?P<name>[^\s{]+)\{(?P<labels>.*)\} (?P<value>\S+)")
_LABEL = re.compile(r'([^=,]+)="([^"]*)"')

type Samples = list[tuple[dict[str, str], float, float]]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a family reads of a service: requests, or ``None`` where it knows only the share of failures."""

    family: str
    service: str
    total: float | None
    failed: float


def expectations() -> list[Expected]:
    """Every ``# reads`` comment."""
    found = []
    for path in sorted(FOLDER.glob("*.prom")):
        for line in path.read_text().splitlines():
            if line.startswith("# reads "):
                family, service, total, failed = line.removeprefix("# reads ").split()
                found.append(Expected(family, service, None if total == "-" else float(total), float(failed)))
    return found


def metrics(start: int, end: int, step: int) -> Iterator[Metric]:
    """All lines as histories: counters that grow evenly to their value, gauges that hold it."""
    series: dict[str, Samples] = defaultdict(list)
    gauges: set[str] = set()
    for path in sorted(FOLDER.glob("*.prom")):
        for line in path.read_text().splitlines():
            if line.startswith("# TYPE ") and line.endswith(" gauge"):
                gauges.add(line.split()[2])
            if match := _LINE.fullmatch(line):
                labels = {name: text for name, text in _LABEL.findall(match["labels"]) if text}
                value = float(match["value"])
                for at in range(start, end + step, step):
                    number = (at - start) // step
                    if match["name"] in gauges:
                        is_down = match["name"] == "probe_success" and number % PROBE_FAILS_EVERY == 1
                        now = 0.0 if is_down else value
                    else:
                        now = value * (at - start) / (end - start)
                    series[match["name"]].append((labels, float(at), now))
    for name, samples in series.items():
        kind = "gauge" if name in gauges else "counter" if name.endswith("_total") else "unknown"
        yield Metric(name, kind, samples)  # type: ignore[arg-type]
