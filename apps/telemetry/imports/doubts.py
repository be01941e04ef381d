"""Remarks on observations that keep to the format but may not be what was meant: one sentence for each kind of doubt.

A file can keep to the format and mean something else: counters instead of counts, seconds instead of milliseconds,
shares instead of failures. Such a file is imported, with remarks on what to check. This module is for workers and
commands, because it needs numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from apps.telemetry.clients.files.clock_changes import gap_that_clocks_skipped
from apps.telemetry.clients.files.instants import quoted
from apps.telemetry.clients.files.reader import DAY, HOUR, Floats, Integers, Rows
from apps.telemetry.imports.overlap import Bins, Whole

#: A counter is recognised by at least so many rises from bin to bin,
LEAST_RISES = 12
#: with at most one fall, at a restart, for so many rises.
RISES_FOR_A_FALL = 12
#: At least so many gaps, this share of them equal, suggest bins that are wider than their ``step_seconds``.
LEAST_GAPS = 12
REGULAR_SHARE = 0.9
#: A service needs at least so many bins and requests before its failures or latencies are doubted.
LEAST_BINS = 24
LEAST_REQUESTS = 100
#: Most values of a share of failures are below this.
SMALL_SHARE = 0.2
#: No service has a median latency as long as this, in milliseconds.
LONG_MS = 600_000.0


def doubts_about_times(
    file: str, bins: Bins, name_of: Callable[[int], str], without_zone: Collection[int]
) -> Iterator[str]:
    """Yield remarks on ordered bins: totals that look like a counter's, wrong widths, an hour that clocks skipped."""
    begins = np.flatnonzero(np.diff(bins.keys, prepend=bins.keys[0] - 1))
    ends = np.append(begins[1:], bins.keys.size) - 1
    inner = bins.keys[1:] == bins.keys[:-1]
    yield from _counters(file, bins, begins, ends, inner, name_of)
    yield from _too_narrow(file, bins, begins, inner, name_of)
    yield from _skipped_hours(file, bins, inner, name_of, without_zone)


def _counters(
    file: str,
    bins: Bins,
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    inner: NDArray[np.bool_],
    name_of: Callable[[int], str],
) -> Iterator[str]:
    change = np.diff(bins.total)
    rises = _per_key(np.append(inner & (change > 0), False), begins)
    falls = _per_key(np.append(inner & (change < 0), False), begins)
    lasts = bins.at[ends] + bins.step[ends] - bins.at[begins] >= DAY
    found = np.flatnonzero(lasts & (rises >= LEAST_RISES) & (falls * RISES_FOR_A_FALL <= rises))
    if found.size:
        first, last = begins[found[0]], ends[found[0]]
        yield (
            f"{file}: the counts of {_first_of(bins.keys[begins[found]], name_of)} only ever grow, from "
            f"{bins.total[first]:,.10g} in line {bins.lines[first]} to {bins.total[last]:,.10g} in line "
            f"{bins.lines[last]}, as a counter does. A count covers only its bin: if these are readings of "
            "a counter, export its increase from bin to bin and import that."
        )


def _too_narrow(
    file: str, bins: Bins, begins: NDArray[np.int64], inner: NDArray[np.bool_], name_of: Callable[[int], str]
) -> Iterator[str]:
    if bins.keys.size < 2:
        return
    endless = np.iinfo(bins.at.dtype).max
    apart = np.full(bins.at.size, endless, dtype=bins.at.dtype)
    np.subtract(bins.at[1:], bins.at[:-1], out=apart[:-1], where=inner)
    least = np.minimum.reduceat(apart, begins)
    alike = np.repeat(least, np.diff(begins, append=apart.size))
    regular = _per_key((apart == alike) & (apart < endless), begins)
    gaps = _per_key(apart < endless, begins)
    widest = np.maximum.reduceat(bins.step, begins)
    found = np.flatnonzero((gaps >= LEAST_GAPS) & (least > widest) & (regular >= REGULAR_SHARE * gaps))
    if found.size:
        one = found[0]
        yield (
            f"{file}: the bins of {_first_of(bins.keys[begins[found]], name_of)} are {widest[one]:,} s wide and begin "
            f"{least[one]:,} s apart, so the time between them counts as not observed. Is step_seconds {least[one]:,}?"
        )


def _skipped_hours(
    file: str,
    bins: Bins,
    inner: NDArray[np.bool_],
    name_of: Callable[[int], str],
    without_zone: Collection[int],
) -> Iterator[str]:
    if not without_zone:
        return
    ended = bins.at[:-1] + bins.step[:-1]
    gap = bins.at[1:] - ended
    open_times = np.fromiter(without_zone, dtype=np.int64)
    for length in (HOUR, HOUR // 2):
        rows = np.flatnonzero(inner & (gap == length))
        rows = rows[np.isin(bins.at[rows], open_times) & np.isin(bins.at[rows + 1], open_times)]
        _, firsts = np.unique(ended[rows], return_index=True)
        for row in rows[firsts].tolist():
            start = int(ended[row])
            change = gap_that_clocks_skipped(start, start + length)
            if change is not None:
                keys = bins.keys[rows[ended[rows] == start]]
                yield (
                    f"{file}: {_first_of(keys, name_of)} has no bin at {_clock(start)} "
                    f"(between lines {bins.lines[row]} and {bins.lines[row + 1]}), the time that the clocks skipped in "
                    f"{change.where}. Times without an offset were taken as UTC: if these are local times, write their "
                    f"offsets, {change.before} before the change and {change.after} after it."
                )
                return


@dataclass(slots=True)
class DoubtsAboutValues:
    """Adds up the rows of ``sli.csv`` key by key, and remarks on values that may not be what was meant."""

    keys: int
    """The number of keys; they are numbered from 0."""
    _sums: dict[str, Floats] = field(default_factory=dict)

    def look_at(self, rows: Rows) -> None:
        """Add some rows."""
        key, total, bad = rows.keys[0], rows.values["total"], rows.values["bad"]
        self._add("bins", key, np.ones(len(rows)))
        self._add("total", key, total)
        self._add("bad", key, bad)
        self._add("failing", key, bad > 0)
        self._add("small", key, (bad > 0) & (bad < SMALL_SHARE))
        self._add("large", key, bad > 1)
        highest = np.full(len(rows), np.nan)
        for name in ("p50_ms", "p95_ms", "p99_ms"):
            highest = np.fmax(highest, rows.values[name])
        lowest = np.fmin(np.fmin(rows.values["p50_ms"], rows.values["p95_ms"]), rows.values["p99_ms"])
        self._add("latencies", key, np.isfinite(highest))
        self._add("short", key, highest < 1.0)
        self._add("long", key, lowest > LONG_MS)

    def remarks(self, file: str, name_of: Callable[[int], str]) -> Iterator[str]:
        """Yield a sentence for each kind of doubt, with the first service concerned and the number of others."""
        if not self._sums:
            return
        totals = self._sums
        enough = totals["bins"] >= LEAST_BINS
        shares = (
            enough
            & (totals["large"] == 0)
            & (totals["small"] >= 3)
            & (2 * totals["small"] > totals["failing"])
        )
        found = np.flatnonzero(shares & (totals["total"] > LEAST_REQUESTS))
        if found.size:
            yield (
                f"{file}: bad of {_first_of(found, name_of)} is never above 1 and mostly a small fraction. bad is how "
                "many requests failed, not their share: if the column holds shares, multiply them by total."
            )
        found = np.flatnonzero(
            enough & (totals["total"] >= LEAST_REQUESTS) & (2 * totals["bad"] > totals["total"])
        )
        if found.size:
            one = found[0]
            yield (
                f"{file}: more than half of all requests of {_first_of(found, name_of)} failed "
                f"({totals['bad'][one]:,.10g} of {totals['total'][one]:,.10g}). bad is how many failed: if it holds "
                "those that succeeded, write total minus these."
            )
        latencies = totals["latencies"] >= LEAST_BINS
        found = np.flatnonzero(latencies & (2 * totals["short"] > totals["latencies"]))
        if found.size:
            yield (
                f"{file}: most latencies of {_first_of(found, name_of)} are below 1 ms. If they are seconds, multiply "
                "them by 1,000."
            )
        found = np.flatnonzero(latencies & (2 * totals["long"] > totals["latencies"]))
        if found.size:
            yield (
                f"{file}: most latencies of {_first_of(found, name_of)} are above ten minutes. If they are "
                "microseconds or nanoseconds, divide them by 1,000 or by 1,000,000."
            )

    def _add(self, name: str, key: Integers, values: NDArray[np.bool_] | Floats) -> None:
        sums = np.bincount(key, weights=values, minlength=self.keys)
        self._sums[name] = self._sums[name] + sums if name in self._sums else sums


def doubt_about_bounds(file: str, smallest: float, largest: float) -> Iterator[str]:
    """Yield a remark on the finite bounds of ``latency_buckets.csv`` where they look like seconds."""
    if smallest < 1.0 and largest <= 60.0:
        yield (
            f"{file}: le_ms goes from {smallest:g} to {largest:g}, as bounds in seconds do. If they are seconds, "
            "multiply them by 1,000."
        )


def _per_key(counted: NDArray[np.bool_], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each key, the number of bins for which ``counted`` is true."""
    return np.add.reduceat(counted, begins, dtype=np.int64)


def _clock(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M}"


def _first_of(keys: Whole, name_of: Callable[[int], str]) -> str:
    names = sorted({int(key) for key in keys.tolist()})
    more = len(names) - 1
    return quoted(name_of(names[0])) + (f" and {more:,} more" if more else "")
