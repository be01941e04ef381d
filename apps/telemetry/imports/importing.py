"""Imports a folder of observations: everything is checked first, then everything or nothing is stored.

This module is for workers and commands, because it needs numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import numpy as np
from django.db import connection, transaction

from apps.catalog.models import Service
from apps.catalog.services import Graph, GraphCounts
from apps.core.errors import FieldProblem, InvalidInput
from apps.telemetry.clients.files.csv_rows import MAX_PROBLEMS, Problems
from apps.telemetry.clients.files.folder import NothingToRead, listed, look_into
from apps.telemetry.clients.files.reader import HOUR, Reader
from apps.telemetry.imports.doubts import DoubtsAboutValues, doubt_about_bounds, doubts_about_times
from apps.telemetry.imports.graph_files import GraphFiles, read_graph
from apps.telemetry.imports.names import Names
from apps.telemetry.imports.overlap import BinsOfFile, report_overlaps
from apps.telemetry.storing import staging
from apps.telemetry.storing.aggregates import Stored, ensure_partitions, staged_range, store_staged

#: Bits for the second key where the keys of two services share one number.
_EDGE_SHIFT = 32

type Progress = Callable[[int, int], None]
type ApplyGraph = Callable[[Graph], GraphCounts | None]


class Imported(TypedDict):
    """The result of an import as it is stored with its run: rows by file, what changed in the catalog, and hours."""

    rows: dict[str, int]
    graph: GraphCounts | dict[str, dict[str, int]]
    hours: int
    days: int
    latency_hours: int
    edge_hours: int


@dataclass(slots=True)
class ImportResult:
    """What an import did."""

    rows: dict[str, int] = field(default_factory=dict)
    """Rows read, by file."""
    graph: GraphCounts | None = None
    """What changed in the catalog."""
    stored: Stored = field(default_factory=Stored)
    start: datetime | None = None
    end: datetime | None = None
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> Imported:
        """Return the result as it is stored with a run."""
        return {
            "rows": self.rows,
            "graph": self.graph or {},
            "hours": self.stored.hours,
            "days": self.stored.days,
            "latency_hours": self.stored.latency_hours,
            "edge_hours": self.stored.edge_hours,
        }


def import_directory(
    folder: Path, *, now: datetime, apply_graph: ApplyGraph, progress: Progress = lambda _done, _total: None
) -> ImportResult:
    """Import the files of docs/file-format.md that a folder has.

    Importing a folder again changes nothing. The rows of an hour replace the stored hour unless they cover less of it.

    Parameters:
        now: no bin may end more than an hour later.
        apply_graph: puts a checked :class:`apps.catalog.services.Graph` into the catalog, inside the
            transaction, and returns what it changed.
        progress: gets the bytes done and in total.

    Raises:
        InvalidInput: the folder has faults. ``extra["problems"]`` has up to 200 of them, ``extra["error_count"]`` is
            the number of all. Nothing has changed.
    """
    try:
        found = look_into(folder)
    except NothingToRead as error:
        raise InvalidInput(f"Nothing was imported: {error}") from error
    result = ImportResult(rows=dict.fromkeys(found.files, 0))
    problems = Problems()
    existing = list(Service.objects.values_list("service_id", flat=True))
    graph_files = read_graph(found.files, problems, existing)
    result.rows |= graph_files.rows
    names = Names(sorted(graph_files.names.union(existing)), graph_files.spellings, graph_files.places)
    reader = Reader(found.files, names, int(now.timestamp()), problems)
    with staging.staged():
        meter = _Meter(found.files, progress)
        is_hourly = _stage_sli(reader, names, result, meter)
        _stage_edges(reader, names, result, meter)
        _stage_buckets(reader, names, result, meter)
        reader.check_span()
        if problems:
            raise rejected(problems)
        without_rows = [
            f"{found.files[name].name} has no rows." for name, rows in result.rows.items() if not rows
        ]
        result.warnings = [*without_rows, *graph_files.spellings.remarks(), *reader.remarks, *found.remarks()]
        span = staged_range()
        if span is not None:
            result.start, result.end = span
            ensure_partitions(result.start.date(), result.end.date())
        with transaction.atomic():
            _store(graph_files, names.known, result, apply_graph, is_hourly=is_hourly)
    meter.finish()
    return result


def rejected(problems: Problems, *, done: str = "imported") -> InvalidInput:
    """Return the error that names the faults of a folder; ``done`` is the word for what did not happen."""
    things = "1 problem" if problems.count == 1 else f"{problems.count:,} problems"
    named = problems.in_order()
    return InvalidInput(
        f"Nothing was {done}: there {'is' if problems.count == 1 else 'are'} {things} in "
        f"{listed(list(problems.files))}.",
        fields=[
            FieldProblem(f"{problem.file}:{problem.line}:{problem.field}", problem.reason)
            for problem in named
        ],
        extra={"problems": [problem.as_json() for problem in named], "error_count": problems.count},
    )


def _store(
    graph_files: GraphFiles,
    names: Sequence[str],
    result: ImportResult,
    apply_graph: ApplyGraph,
    *,
    is_hourly: bool,
) -> None:
    # Applying the graph locks it for everybody else until this transaction ends. So it comes last, unless it must
    # create services first.
    all_exist = graph_files.names <= set(Service.objects.values_list("service_id", flat=True))
    if graph_files.graph is not None and not all_exist:
        result.graph = apply_graph(graph_files.graph)
    if result.start is not None:
        pks = dict(Service.objects.values_list("service_id", "pk"))
        known = [(key, pks[name]) for key, name in enumerate(names) if name in pks]
        staging.put_services([key for key, _ in known], [pk for _, pk in known])
        result.stored = store_staged(is_hourly=is_hourly)
    if graph_files.graph is not None and all_exist:
        result.graph = apply_graph(graph_files.graph)


def _stage_sli(reader: Reader, names: Names, result: ImportResult, meter: _Meter) -> bool:
    """Stage ``sli.csv``; return whether every row is a whole hour."""
    file = reader.name_of("sli.csv")
    fine, coarse = (BinsOfFile() for _ in range(2))
    doubts = DoubtsAboutValues(len(names.known))
    is_hourly = True
    for rows in reader.sli():
        key = rows.keys[0]
        is_fine = rows.step <= HOUR
        for bins, chosen in ((fine, is_fine), (coarse, ~is_fine)):
            bins.add(
                key[chosen],
                rows.at[chosen],
                rows.step[chosen],
                rows.lines[chosen],
                rows.values["total"][chosen],
            )
        is_hourly = is_hourly and bool(np.all(rows.step[is_fine] == HOUR))
        doubts.look_at(rows)
        staging.put(
            "stage_sli",
            key=key,
            at=rows.at,
            step=rows.step,
            observed=rows.step,
            total=rows.values["total"],
            bad=rows.values["bad"],
            p50=rows.values["p50_ms"],
            p95=rows.values["p95_ms"],
            p99=rows.values["p99_ms"],
            is_partial=False,
            is_implausible=False,
        )
        meter.read("sli.csv", result, len(rows))
    for bins in (fine, coarse):
        _check_times(reader, "sli.csv", bins, names.of)
    reader.remarks += doubts.remarks(file, names.of)
    return is_hourly


def _stage_edges(reader: Reader, names: Names, result: ImportResult, meter: _Meter) -> None:
    bins = BinsOfFile()
    for rows in reader.edges():
        source, target = rows.keys
        bins.add((source << _EDGE_SHIFT) | target, rows.at, rows.step, rows.lines, rows.values["total"])
        staging.put(
            "stage_edge",
            source=source,
            target=target,
            at=rows.at,
            observed=rows.step,
            total=rows.values["total"],
            bad=rows.values["bad"],
        )
        meter.read("edge_sli.csv", result, len(rows))

    def name_of(key: int) -> str:
        return f"{names.of(key >> _EDGE_SHIFT)} → {names.of(key & ((1 << _EDGE_SHIFT) - 1))}"

    _check_times(reader, "edge_sli.csv", bins, name_of)


def _check_times(reader: Reader, file: str, collected: BinsOfFile, name_of: Callable[[int], str]) -> None:
    bins = collected.in_order()
    if bins is None:
        return
    without_zone = reader.without_zone.get(file, set())
    report_overlaps(reader.name_of(file), bins, without_zone, reader.problems)
    reader.remarks += doubts_about_times(reader.name_of(file), bins, name_of, without_zone)


def _stage_buckets(reader: Reader, names: Names, result: ImportResult, meter: _Meter) -> None:
    file = reader.name_of("latency_buckets.csv")
    whole = BinsOfFile()
    smallest, largest = np.inf, 0.0
    for rows in reader.buckets():
        bound, count = rows.values["le_ms"], rows.values["count"]
        finite = np.isfinite(bound)
        whole.add(
            rows.keys[0][~finite], rows.at[~finite], rows.step[~finite], rows.lines[~finite], count[~finite]
        )
        if finite.any():
            smallest, largest = min(smallest, bound[finite].min()), max(largest, bound[finite].max())
        staging.put("stage_bucket", key=rows.keys[0], at=rows.at, le=bound, count=count, line=rows.lines)
        meter.read("latency_buckets.csv", result, len(rows))
    _check_buckets(file, reader.problems)
    bins = whole.in_order()
    if bins is not None:
        without_zone = reader.without_zone.get("latency_buckets.csv", set())
        reader.remarks += doubts_about_times(file, bins, names.of, without_zone)
        reader.remarks += doubt_about_bounds(file, smallest, largest)


_BUCKET_RULES = (
    (
        "SELECT line, 'le_ms', 'the bound is in line ' || first || ' already' FROM ("
        " SELECT line, first_value(line) OVER same AS first, row_number() OVER same AS number"
        " FROM stage_bucket"
        " WINDOW same AS (PARTITION BY key, at, le ORDER BY line)) r WHERE number > 1"
    ),
    (
        "SELECT line, 'count',"
        " count || ' is less than the ' || below || ' of a smaller bound: counts are cumulative' FROM ("
        " SELECT line, count, lag(count) OVER (PARTITION BY key, at ORDER BY le) AS below"
        " FROM stage_bucket) r WHERE count < below"
    ),
    (
        "SELECT min(line), 'le_ms', 'the bin that begins here has no bound +Inf' FROM stage_bucket"
        " GROUP BY key, at HAVING max(le) <> 'Infinity'"
    ),
)


def _check_buckets(file: str, problems: Problems) -> None:
    """Check whole histograms: each bound occurs once, counts do not fall, and there is an infinite bound."""
    with connection.cursor() as cursor:
        for rule in _BUCKET_RULES:
            cursor.execute(
                f"SELECT *, count(*) OVER () FROM ({rule}) found ORDER BY 1 LIMIT %s",  # noqa: S608
                [MAX_PROBLEMS],
            )
            found = cursor.fetchall()
            for line, name, reason, _ in found:
                problems.add(file, line, name, reason)
            if found:
                problems.count += found[0][3] - len(found)


class _Meter:
    """Turns rows read into progress, by the size of the files. Storing is the last tenth."""

    def __init__(self, files: Mapping[str, Path], progress: Progress) -> None:
        self._sizes = {name: path.stat().st_size for name, path in files.items()}
        self._total = max(1, sum(self._sizes.values()))
        self._progress = progress
        self._done: dict[str, int] = {}

    def read(self, name: str, result: ImportResult, rows: int) -> None:
        """Note that a chunk of a file was read. A row is assumed to have 48 bytes."""
        result.rows[name] = result.rows.get(name, 0) + rows
        self._done[name] = min(self._sizes.get(name, 0), result.rows[name] * 48)
        self._progress(int(0.9 * sum(self._done.values())), self._total)

    def finish(self) -> None:
        """Note that everything is stored."""
        self._progress(self._total, self._total)
