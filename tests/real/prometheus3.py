"""A real Prometheus 3 for a test, filled with counters, gauges and native histograms at any times.

``tools/prometheus3/build`` makes the server and the program that writes its blocks. It is for whoever runs the tests to
start it: it takes minutes.

How Prometheus 3.16 answers with native histograms
--------------------------------------------------
A series of ``query_range`` has ``histograms`` in the place of ``values``, one of ``query`` has ``histogram`` in the
place of ``value``. A series whose samples are of both kinds has both lists. ``sum by (service) (increase(x[1h1ms]))``
answers with::

    {"metric": {"service": "shop"}, "histograms": [[1760004000, {"count": "84", "sum": "120", "buckets": [
        [1, "-1.0905077326652577", "-1", "24"],
        [3, "-0.001", "0.001", "12"],
        [0, "1", "1.0905077326652577", "48"]]}]]}

* All numbers but the rule and the instant are text; counts are fractions where ``increase`` extrapolates.
* A bucket is ``[rule, lower, upper, count]``, each for itself (not cumulative), from the lowest to the highest. Rule 0
  takes in the upper bound (positive buckets), 1 the lower (negative buckets), 3 both (the zero bucket), 2 neither.
* Empty buckets are left out; without any observation there is no ``buckets`` at all and ``count`` is ``"0"``.
* Custom buckets come the same way: the first from ``"-Inf"`` with rule 3 if its upper bound is positive, the last to
  ``"+Inf"``. The name of the schema is not told.
* Exponential histograms of several schemas are added in the coarsest of them, without a word. Of several zero
  thresholds the widest is taken, and what lies within it joins the zero bucket.
* Custom histograms of several layouts are added in the bounds that all of them have, with an ``infos`` entry:
  "mismatched custom buckets were reconciled during aggregation".
* Exponential and custom ones in one sum, or histograms and floats, give no series at all for that group, with a
  ``warnings`` entry. Other groups of the same answer are complete.
* ``increase`` of a series with one sample gives nothing, and the value a series begins with is lost, as with counters.
  With start timestamps it is counted (``use-start-timestamps``, or the header ``X-Prometheus-Use-Start-Timestamps``).
* ``le`` is no label of such a series: ``sum by (service, le)`` answers with histograms as well.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.real.prometheus import Metric, not_here, running_prometheus, serving

_BUILD = Path(__file__).resolve().parents[2] / "tools" / "prometheus3" / "build"
_STALE = "stale"
_CUSTOM_SCHEMA = -53


@dataclass(frozen=True, slots=True)
class Exponential:
    """What a native histogram with exponential buckets has counted.

    With ``base = 2 ** 2 ** -schema``, bucket ``i`` of ``positive`` holds what is above ``base ** (i - 1)`` and up to
    ``base ** i``, and bucket ``i`` of ``negative`` the same below zero. The zero bucket holds what is no farther from
    zero than ``zero_threshold``.

    Parameters:
        schema: from -4 (the widest buckets) to 8.
        positive: counts by the number of the bucket, each bucket for itself.
        sum: of all that was observed.
    """

    schema: int
    positive: Mapping[int, int]
    sum: float
    zero_threshold: float = 2.0**-128
    zero_count: int = 0
    negative: Mapping[int, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Write it as ``fill`` reads it."""
        return {
            "schema": self.schema,
            "zero_threshold": self.zero_threshold,
            "zero_count": self.zero_count,
            "positive": {str(number): count for number, count in self.positive.items()},
            "negative": {str(number): count for number, count in self.negative.items()},
            "sum": repr(self.sum),
        }


@dataclass(frozen=True, slots=True)
class CustomBuckets:
    """What a native histogram with custom buckets (NHCB, what classic buckets are converted to) has counted.

    Parameters:
        bounds: the finite upper bounds, rising.
        counts: one for each bound and one for what is above the last, each bucket for itself.
        sum: of all that was observed.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float

    def document(self) -> dict[str, Any]:
        """Write it as ``fill`` reads it."""
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError("There is one bucket more than there are finite bounds.")
        return {
            "schema": _CUSTOM_SCHEMA,
            "bounds": list(self.bounds),
            "positive": {str(number): count for number, count in enumerate(self.counts) if count},
            "sum": repr(self.sum),
        }


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One metric of native histograms: its name and its samples, series by series."""

    name: str
    samples: Iterable[tuple[Mapping[str, str], float, Exponential | CustomBuckets | None]]
    """Labels, Unix seconds, what was counted up to then; ``None`` marks the end of a series."""
    since: float | None = None
    """Since when these series count, in Unix seconds: their start timestamp."""
    is_gauge: bool = False
    """Whether the counts may fall."""


def require_prometheus3() -> Path:
    """Skip where Prometheus 3 was not built; fail instead where real servers are required. Return its folder."""
    found = subprocess.run([_BUILD, "--where"], check=True, capture_output=True, text=True, timeout=60)
    folder = Path(found.stdout.strip())
    if not (folder / "prometheus").exists():
        not_here(
            f"Prometheus 3 is not built: run {_BUILD.relative_to(_BUILD.parents[2])} (needs Go, takes 3 min)."
        )
    return folder


@contextmanager
def running_prometheus3(
    folder: Path,
    metrics: Iterable[Metric] = (),
    histograms: Iterable[NativeHistogram] = (),
    *,
    features: Sequence[str] = (),
) -> Iterator[str]:
    """Load metrics and histograms, serve them on a free loopback port, yield the address, stop the server.

    Parameters:
        folder: an empty folder for the blocks and the log.
        features: what ``--enable-feature`` of the server switches on. Start timestamps are used by ``increase`` with
            ``use-start-timestamps``, and are stored without any.
    """
    programs = require_prometheus3()
    metrics, histograms = list(metrics), list(histograms)
    sinces = [*(metric.since for metric in metrics), *(native.since for native in histograms)]
    keeps_starts = any(since is not None for since in sinces)
    blocks = folder / "data"
    written = subprocess.run(
        [programs / "fill", *(["-start-timestamps"] if keeps_starts else []), blocks],
        input="".join(_lines(metrics, histograms)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if written.returncode:
        raise ValueError(f"No block was written: {written.stderr.strip()}")
    options = [f"--enable-feature={','.join(features)}"] if features else []
    with serving(programs / "prometheus", blocks, folder, *options) as url:
        yield url


def _lines(metrics: Iterable[Metric], histograms: Iterable[NativeHistogram]) -> Iterator[str]:
    for metric in metrics:
        for labels, at, value in metric.samples:
            text = _STALE if value is None else repr(value)
            yield _line(metric.name, labels, at, metric.since, value=text)
    for native in histograms:
        for labels, at, counted in native.samples:
            document: dict[str, Any] = {"sum": _STALE} if counted is None else counted.document()
            document["is_gauge"] = native.is_gauge
            yield _line(native.name, labels, at, native.since, histogram=document)


def _line(name: str, labels: Mapping[str, str], at: float, since: float | None, **content: object) -> str:
    start = {} if since is None else {"start_ms": round(since * 1000)}
    line = {"labels": {"__name__": name, **labels}, "at_ms": round(at * 1000), **start, **content}
    return json.dumps(line) + "\n"


#: For tests that have to hold with every version: a parameter that runs a server filled with metrics.
EVERY_PROMETHEUS = [
    pytest.param(running_prometheus, id="prometheus-2"),
    pytest.param(running_prometheus3, id="prometheus-3"),
]
