"""Reads a folder of observations as series in memory; nothing is stored. It needs numpy: for commands.

Like an import, it sums finer bins by the hour (docs/file-format.md).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.catalog.services import Graph
from apps.core.errors import InvalidInput
from apps.telemetry.clients.files.csv_rows import Problems
from apps.telemetry.clients.files.folder import NothingToRead, look_into
from apps.telemetry.clients.files.reader import DAY, HOUR, Reader, Rows
from apps.telemetry.imports.graph_files import read_graph
from apps.telemetry.imports.importing import rejected
from apps.telemetry.imports.names import Names
from apps.telemetry.series import Buckets, Counts


@dataclass(frozen=True, slots=True)
class Recording:
    """The series of a folder, by service id or by both ends of an edge, and ``remarks`` on doubtful values."""

    graph: Graph = field(default_factory=Graph)
    counts: dict[str, Counts] = field(default_factory=dict)
    edges: dict[tuple[str, str], Counts] = field(default_factory=dict)
    buckets: dict[str, Buckets] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_recording(folder: Path, *, now: datetime) -> Recording:
    """Read a folder in the format of an import.

    Raises:
        InvalidInput: the folder has faults; rows are named as an import names them.
    """
    try:
        found = look_into(folder)
    except NothingToRead as error:
        raise InvalidInput(str(error)) from error
    problems = Problems()
    files = read_graph(found.files, problems, now=now)
    # A recording may name any service, because there is no catalog that would have to know it.
    lookup = Names([], files.spellings, files.places, grows=True)
    reader = Reader(found.files, lookup, int(now.timestamp()), problems)
    sli, edges, buckets = list(reader.sli()), list(reader.edges()), list(reader.buckets())
    reader.check_span()
    if problems:
        raise rejected(problems, done="evaluated")
    names = lookup.known
    return Recording(
        graph=files.graph or Graph(),
        counts=dict(_series(sli, lambda keys: names[keys[0]])),
        edges=dict(_series(edges, lambda keys: (names[keys[0]], names[keys[1]]))),
        buckets={names[key]: one for key, one in _histograms(buckets)},
        remarks=[*files.spellings.remarks(), *reader.remarks, *found.remarks()],
    )


def _series[KeyT: Hashable](
    chunks: list[Rows], named: Callable[[list[int]], KeyT]
) -> Iterator[tuple[KeyT, Counts]]:
    """Sum counts by the hour, or by the day for a service without bins of at most an hour."""
    if not chunks:
        return
    keys = [np.concatenate([chunk.keys[at] for chunk in chunks]) for at in range(len(chunks[0].keys))]
    at, step = _joined(chunks, "at"), _joined(chunks, "step")
    total, bad = (np.concatenate([chunk.values[name] for chunk in chunks]) for name in ("total", "bad"))
    for rows in _by_key(*keys):
        fine = rows[step[rows] <= HOUR]
        width, chosen = (HOUR, fine) if fine.size else (DAY, rows)
        first = int(at[chosen].min() // width * width)
        bins = (at[chosen] - first) // width
        size = int(bins.max()) + 1
        is_known = np.bincount(bins, minlength=size) > 0
        sums = [
            np.where(is_known, np.bincount(bins, values[chosen], size), np.nan) for values in (total, bad)
        ]
        yield named([int(key[rows[0]]) for key in keys]), Counts(first, width, sums[0], sums[1])


def _histograms(chunks: list[Rows]) -> Iterator[tuple[int, Buckets]]:
    """Yield histograms summed by the hour, over the bounds that all bins of a service share."""
    if not chunks:
        return
    key = np.concatenate([chunk.keys[0] for chunk in chunks])
    at = _joined(chunks, "at")
    bound, count = (np.concatenate([chunk.values[name] for chunk in chunks]) for name in ("le_ms", "count"))
    for rows in _by_key(key):
        bins, of_bin = np.unique(at[rows], return_inverse=True)
        bounds, of_bound = np.unique(bound[rows], return_inverse=True)
        fine = np.full((bins.size, bounds.size), np.nan)
        fine[of_bin, of_bound] = count[rows]
        is_shared = ~np.isnan(fine).any(axis=0)
        if not is_shared[-1] or not np.isinf(bounds[-1]):
            continue
        first = int(bins[0] // HOUR * HOUR)
        hours = (bins - first) // HOUR
        sums = np.full((int(hours[-1]) + 1, int(is_shared.sum())), np.nan)
        sums[np.unique(hours)] = 0.0
        np.add.at(sums, hours, fine[:, is_shared])
        yield int(key[rows[0]]), Buckets(first, HOUR, bounds[is_shared], sums)


def _joined(chunks: list[Rows], name: str) -> NDArray[np.int64]:
    return np.concatenate([getattr(chunk, name) for chunk in chunks])


def _by_key(*keys: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the indexes of each key's rows, in the order of the keys."""
    order = np.lexsort(keys[::-1])
    if not order.size:
        return []
    changes = np.zeros(order.size - 1, dtype=np.bool_)
    for key in keys:
        changes |= key[order][1:] != key[order][:-1]
    return np.split(order, np.flatnonzero(changes) + 1)
