"""Reads ``services.csv`` and ``dependencies.csv`` into rows for the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from apps.catalog.models import DiscoverySource
from apps.catalog.services import Graph, validate_graph
from apps.catalog.spelling import Spellings
from apps.telemetry.clients.files.csv_rows import Problems, read_chunks
from apps.telemetry.clients.files.instants import quoted
from apps.telemetry.clients.files.numbers import are_plain, not_a_number

SERVICE_REQUIRED = ("service_id", "team", "criticality", "external", "published_sla")
SERVICE_OPTIONAL = ("archetype", "on_call")
DEPENDENCY_REQUIRED = ("source", "target", "mode", "criticality")
_MAX_RETRIES_DIGITS = 4
NUMBERS = {"published_sla", "calls_per_request", "redundancy_needed", "timeout_ms"}
#: These are never fractions, so ``1.000`` in them may mean a thousand.
_WHOLE_NUMBERS = {"redundancy_needed", "timeout_ms"}
DEPENDENCY_OPTIONAL = (
    "calls_per_request", "redundancy_group", "redundancy_needed", "max_retries", "protocol", "timeout_ms"
)  # fmt: skip


type _Row = dict[str, str | dict[str, int]]


@dataclass(slots=True)
class GraphFiles:
    """The graph of a folder. ``graph`` is ``None`` where the folder has neither file."""

    spellings: Spellings
    """The spellings of services, with which names in other files are compared."""
    graph: Graph | None = None
    names: set[str] = field(default_factory=set)
    """Every service that the two files name, in its final spelling; all exist once the graph is applied."""
    places: dict[str, str] = field(default_factory=dict)
    """Where each of these services is named first: ``services.csv line 2``."""
    rows: dict[str, int] = field(default_factory=dict)


def read_graph(
    paths: Mapping[str, Path],
    problems: Problems,
    known: Iterable[str] = (),
    *,
    now: datetime | None = None,
) -> GraphFiles:
    """Read and check both files, and add problems by file and line.

    ``known`` are the services of the catalog; observations after ``now`` are problems.
    """
    files = GraphFiles(Spellings(known, DiscoverySource.FILE))
    payload: dict[str, list[_Row]] = {}
    lines: dict[str, list[int]] = {}
    for list_name, file, required, optional in (
        ("services", "services.csv", SERVICE_REQUIRED, SERVICE_OPTIONAL),
        ("dependencies", "dependencies.csv", DEPENDENCY_REQUIRED, DEPENDENCY_OPTIONAL),
    ):
        if file not in paths:
            continue
        payload[list_name], lines[list_name] = _rows(paths[file], required, optional, problems)
        files.rows[file] = len(payload[list_name])
    if not payload:
        return files
    for list_name, columns in (("services", ("service_id",)), ("dependencies", ("source", "target"))):
        for row, line in zip(payload.get(list_name, []), lines.get(list_name, []), strict=True):
            for name in (str(row[column]) for column in columns if column in row):
                files.places.setdefault(
                    files.spellings.settle(name), f"{paths[f'{list_name}.csv'].name} line {line}"
                )
    files.names = set(files.places)
    graph, found = validate_graph(
        [(1, payload)],
        name_row=lambda name, place: f"line {lines[name][place.row - 1]}",
        spellings=files.spellings,
        now=now,
    )
    for problem in found.kept:
        problems.add(
            paths[f"{problem.list}.csv"].name,
            lines[problem.list][problem.row - 1],
            *_in_a_file(problem.field, problem.message),
        )
    problems.count += found.count - len(found.kept)
    files.graph = graph
    return files


def _rows(
    path: Path, required: Sequence[str], optional: Sequence[str], problems: Problems
) -> tuple[list[_Row], list[int]]:
    rows: list[_Row] = []
    lines: list[int] = []
    for chunk in read_chunks(path, required, optional, problems):
        names = list(chunk.columns)
        for cells, line in zip(zip(*chunk.columns.values(), strict=True), chunk.lines, strict=True):
            # A blank cell states nothing.
            given = {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}
            lines.append(line)
            for name in NUMBERS & given.keys():
                fault = _fault_of_number(name, given[name])
                if fault:
                    problems.add(path.name, line, name, fault)
                    del given[name]
            rows.append(_row(given))
    return rows, lines


def _fault_of_number(name: str, cell: str) -> str:
    """Return what is wrong with a number that the catalog would read in another way."""
    if not are_plain((cell,)):
        return not_a_number(cell)
    if name in _WHOLE_NUMBERS and "." in cell:
        return f"{quoted(cell)} is not a whole number: write it without a point"
    return ""


def _row(cells: dict[str, str]) -> _Row:
    """Return a row of the catalog from the cells that are not blank."""
    retries = cells.pop("max_retries", "")
    row: _Row = {**cells}
    if retries:
        is_number = retries.isascii() and retries.isdecimal() and len(retries) <= _MAX_RETRIES_DIGITS
        row["retry_config"] = {"max_retries": int(retries)} if is_number else retries
    return row


def _in_a_file(field_path: str, message: str) -> tuple[str, str]:
    """Return the column and the message for a problem that the catalog found."""
    if field_path.startswith("retry_config"):
        return (
            "max_retries",
            f"write a whole number of at most {_MAX_RETRIES_DIGITS} digits, or leave it blank",
        )
    return field_path, message
