"""Validates a graph, which is accepted or refused as a whole. Each bad row is named with part, number and reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from apps.accounts.models import Team
from apps.catalog.schemas import DependencyRow, Row, ServiceRow
from apps.catalog.spelling import Spellings
from apps.catalog.validation_messages import plain
from apps.core.errors import Fault, FieldProblem, InvalidInput
from apps.core.text.names import name_problem

MAX_PROBLEMS = 300
"""How many problems are kept; all are counted."""
CLOCK_TOLERANCE = timedelta(minutes=5)

type List = Literal["services", "dependencies"]
type NameRow = Callable[[List, Place], str]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One problem of one row. ``row`` counts from 1 within its list and part; ``field`` may be empty."""

    part: int
    list: List
    row: int
    field: str
    message: str

    @property
    def path(self) -> str:
        """The place as a path for programs: ``dependencies.0.target``."""
        return ".".join(filter(None, [self.list, str(self.row - 1), self.field]))

    def document(self) -> Fault:
        """Return the problem as it is stored with an ingestion and shown by the API and pages."""
        return {
            "part": self.part,
            "list": self.list,
            "row": self.row,
            "field": self.field,
            "path": self.path,
            "message": self.message,
        }


@dataclass(slots=True)
class Problems:
    """The problems of a graph: all are counted, the first :data:`MAX_PROBLEMS` kept."""

    count: int = 0
    kept: list[RowProblem] = field(default_factory=list)

    def add(self, problem: RowProblem) -> None:
        self.count += 1
        if len(self.kept) < MAX_PROBLEMS:
            self.kept.append(problem)

    def __bool__(self) -> bool:
        return self.count > 0

    def documents(self) -> list[Fault]:
        return [problem.document() for problem in self.kept]

    def error(self) -> InvalidInput:
        """Return the error that names the problems."""
        problems = "1 problem" if self.count == 1 else f"{self.count:,} problems"
        return InvalidInput(
            f"Nothing was changed: the graph has {problems}.",
            fields=[FieldProblem(problem.path, problem.message) for problem in self.kept],
            extra={"error_count": self.count},
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a row."""

    part: int
    row: int

    def beside(self, other: Place, row: str = "") -> str:
        """Return the name of this place in a message about ``other``; ``row`` replaces the row's number."""
        row = row or f"row {self.row}"
        return row if self.part == other.part else f"{row} of part {self.part}"


@dataclass(slots=True)
class Graph:
    """A valid graph: rows without repetition, each with its place."""

    services: list[ServiceRow] = field(default_factory=list)
    dependencies: list[DependencyRow] = field(default_factory=list)
    service_places: list[Place] = field(default_factory=list)
    dependency_places: list[Place] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.services) + len(self.dependencies)


_services = TypeAdapter(list[ServiceRow])
_dependencies = TypeAdapter(list[DependencyRow])


def validate_graph(
    payloads: Iterable[tuple[int, Mapping[str, Any]]],
    *,
    now: datetime | None = None,
    name_row: NameRow = lambda _list, _place: "",
    spellings: Spellings | None = None,
) -> tuple[Graph, Problems]:
    """Check all parts of a graph together.

    Each payload is ``(part number, {"services": […], "dependencies": […]})``; rows are dictionaries or already
    :class:`ServiceRow` and :class:`DependencyRow`. Returns the graph and its problems. A graph with any problem is
    incomplete and must not be applied. A service or an edge may occur only once in the whole. ``name_row`` gives the
    name of a row in messages if that is not its number, such as ``line 7``. ``spellings`` settles the spelling of each
    id; rows that are equal except for the spelling are one row.
    """
    problems = Problems()
    graph = Graph()
    latest = (now or timezone.now()) + CLOCK_TOLERANCE
    for part, payload in payloads:
        for name, adapter, rows, places in (
            ("services", _services, graph.services, graph.service_places),
            ("dependencies", _dependencies, graph.dependencies, graph.dependency_places),
        ):
            _read(part, name, adapter, payload.get(name) or [], rows, places, problems)  # type: ignore[arg-type]
    if spellings is not None:
        _settle(graph, spellings)
        _check_names(graph, spellings, problems)
    _check_services(graph, problems, name_row)
    _check_dependencies(graph, latest, problems, name_row)
    return graph, problems


def _read(
    part: int,
    name: List,
    adapter: TypeAdapter[Any],
    given: Sequence[Any],
    rows: list[Any],
    places: list[Place],
    problems: Problems,
) -> None:
    bad: set[int] = set()
    if not isinstance(given, list):
        given = list(given)
    try:
        read = adapter.validate_python(given)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            index = item["loc"][0] if item["loc"] else 0
            where = ".".join(str(step) for step in item["loc"][1:])
            bad.add(int(index))
            problems.add(RowProblem(part, name, int(index) + 1, where, plain(item)))
        # Valid rows are still checked against each other, so that one answer names all problems.
        good = [(index, row) for index, row in enumerate(given) if index not in bad]
        rows.extend(adapter.validate_python([row for _, row in good]))
        places.extend(Place(part, index + 1) for index, _ in good)
        return
    rows.extend(read)
    places.extend(Place(part, index + 1) for index in range(len(read)))


def _settle(graph: Graph, spellings: Spellings) -> None:
    """Write each id in its final spelling, and leave out rows that repeat another row in another spelling."""
    services = [_respelt(row, ("service_id",), spellings) for row in graph.services]
    graph.services, graph.service_places = _once(
        graph.services, graph.service_places, services, lambda row: row.service_id
    )
    edges = [_respelt(row, ("source", "target"), spellings) for row in graph.dependencies]
    graph.dependencies, graph.dependency_places = _once(
        graph.dependencies, graph.dependency_places, edges, lambda row: (row.source, row.target)
    )


def _check_names(graph: Graph, spellings: Spellings, problems: Problems) -> None:
    """Report new services and teams whose names mislead the eye."""
    seen: set[str] = set()

    def check(list_name: List, place: Place, field: str, name: str, is_known: Callable[[str], bool]) -> None:
        if name.isascii() or name in seen:
            return
        seen.add(name)
        problem = name_problem(name)
        if problem and not is_known(name):
            what = "the team" if field == "team" else "the service id"
            problems.add(RowProblem(place.part, list_name, place.row, field, f"{what} {problem}"))

    for row, place in zip(graph.services, graph.service_places, strict=True):
        check("services", place, "service_id", row.service_id, spellings.is_known)
        if row.team:
            check("services", place, "team", row.team, lambda name: Team.objects.filter(name=name).exists())
    for edge, place in zip(graph.dependencies, graph.dependency_places, strict=True):
        check("dependencies", place, "source", edge.source, spellings.is_known)
        check("dependencies", place, "target", edge.target, spellings.is_known)


def _respelt(row: Row, names: Sequence[str], spellings: Spellings) -> bool:
    was_written_otherwise = False
    for name in names:
        written = getattr(row, name)
        kept = spellings.settle(written)
        if kept != written:
            setattr(row, name, kept)
            was_written_otherwise = True
    return was_written_otherwise


def _once[RowT: Row](
    rows: list[RowT], places: list[Place], respelt: Sequence[bool], key: Callable[[RowT], object]
) -> tuple[list[RowT], list[Place]]:
    if not any(respelt):
        return rows, places
    first_at: dict[object, int] = {}
    kept = []
    for index, row in enumerate(rows):
        first = first_at.setdefault(key(row), index)
        if first == index or rows[first] != row or not (respelt[first] or respelt[index]):
            kept.append(index)
    return [rows[index] for index in kept], [places[index] for index in kept]


def _check_services(graph: Graph, problems: Problems, name_row: NameRow) -> None:
    def complain(index: int, message: str) -> None:
        place = graph.service_places[index]
        problems.add(RowProblem(place.part, "services", place.row, "service_id", message))

    _check_repetition(
        graph.services,
        graph.service_places,
        lambda row: row.service_id,
        lambda row: row.service_id,
        complain,
        lambda place: name_row("services", place),
    )


def _check_dependencies(graph: Graph, latest: datetime, problems: Problems, name_row: NameRow) -> None:
    def complain(index: int, message: str, name: str = "target") -> None:
        place = graph.dependency_places[index]
        problems.add(RowProblem(place.part, "dependencies", place.row, name, message))

    for index, row in enumerate(graph.dependencies):
        if row.source == row.target:
            complain(index, f"{row.source} cannot depend on itself")
        if row.observed_at is not None and row.observed_at > latest:
            complain(index, f"is in the future: {row.observed_at.isoformat()}", "observed_at")
    _check_repetition(
        graph.dependencies,
        graph.dependency_places,
        lambda row: (row.source, row.target),
        lambda row: f"{row.source} → {row.target}",
        complain,
        lambda place: name_row("dependencies", place),
    )


def _check_repetition[RowT: Row](
    rows: Sequence[RowT],
    places: Sequence[Place],
    key: Callable[[RowT], object],
    name: Callable[[RowT], str],
    complain: Callable[[int, str], None],
    name_row: Callable[[Place], str],
) -> None:
    first_at: dict[object, int] = {}
    for index, row in enumerate(rows):
        first = first_at.setdefault(key(row), index)
        if first == index:
            continue
        where = places[first].beside(places[index], name_row(places[first]))
        if rows[first] == row:
            complain(index, f"{name(row)} is already in {where}")
        else:
            differing = ", ".join(_differing(rows[first], row))
            complain(
                index,
                f"{name(row)} is already in {where} with a different {differing}; keep the one that is right",
            )


def _differing(one: Row, other: Row) -> list[str]:
    return [field for field in type(one).model_fields if getattr(one, field) != getattr(other, field)]
