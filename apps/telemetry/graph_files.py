"""Reads ``services.csv`` and ``dependencies.csv`` into the rows that the catalog takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.catalog.validation import Graph, validate_graph
from apps.telemetry.clients.csv_rows import Problems, read_chunks

SERVICE_REQUIRED = ("service_id", "team", "criticality", "external", "published_sla")
SERVICE_OPTIONAL = ("archetype", "on_call")
DEPENDENCY_REQUIRED = ("source", "target", "mode", "criticality")
_MAX_RETRIES_DIGITS = 4
DEPENDENCY_OPTIONAL = (
    "calls_per_request", "redundancy_group", "redundancy_needed", "max_retries", "protocol", "timeout_ms"
)  # fmt: skip


@dataclass(slots=True)
class GraphFiles:
    """The graph of a folder. ``graph`` is ``None`` where the folder has neither file."""

    graph: Graph | None = None
    names: set[str] = field(default_factory=set)
    """Every service that the two files name: those that exist once the graph is applied."""
    rows: dict[str, int] = field(default_factory=dict)


def read_graph(paths: Mapping[str, Path], problems: Problems) -> GraphFiles:
    """Read and check both files; what is wrong is named by file and line."""
    files = GraphFiles()
    payload: dict[str, list[dict[str, Any]]] = {}
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
    files.names = {row["service_id"] for row in payload.get("services", []) if "service_id" in row}
    for row in payload.get("dependencies", []):
        files.names |= {row[end] for end in ("source", "target") if end in row}
    graph, found = validate_graph(
        [(1, payload)], name_row=lambda name, place: f"line {lines[name][place.row - 1]}"
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
) -> tuple[list[dict[str, Any]], list[int]]:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for chunk in read_chunks(path, required, optional, problems):
        names = list(chunk.columns)
        for cells, line in zip(zip(*chunk.columns.values(), strict=True), chunk.lines, strict=True):
            rows.append(_row(dict(zip(names, cells, strict=True))))
            lines.append(line)
    return rows, lines


def _row(cells: Mapping[str, str]) -> dict[str, Any]:
    """Leave out what is blank: a blank says nothing."""
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if cell != ""}
    if "max_retries" in row:
        retries = row.pop("max_retries")
        is_number = retries.isascii() and retries.isdecimal() and len(retries) <= _MAX_RETRIES_DIGITS
        row["retry_config"] = {"max_retries": int(retries)} if is_number else retries
    return row


def _in_a_file(field_path: str, message: str) -> tuple[str, str]:
    """The column and the words for a problem that the catalog found."""
    if field_path.startswith("retry_config"):
        return (
            "max_retries",
            f"write a whole number of at most {_MAX_RETRIES_DIGITS} digits, or leave it blank",
        )
    return field_path, message
