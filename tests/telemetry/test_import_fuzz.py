"""Whatever happens to a folder on its way, an import takes all of it or refuses it with the place of each fault."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Team
from apps.catalog.models import Dependency, Service
from apps.core.errors import InvalidInput
from apps.telemetry.imports.importing import ImportResult
from apps.telemetry.models import EdgeHour, LatencyHour, SliDay, SliHour
from tests.telemetry.folders import BUCKETS, DEPENDENCIES, EDGE_SLI, HOUR, SERVICES, SLI, START, import_folder
from tests.telemetry.test_import import snapshot

type Mutation = Callable[[dict[str, bytes]], None]

NASTY = (
    *(
        "",
        " ",
        "-",
        "-1",
        "0",
        "1",
        "0.5",
        "1e5",
        "1e308",
        "1e-320",
        "-0",
        "nan",
        "inf",
        "-inf",
        "+Inf",
        "1_0",
    ),
    *(
        "1,000",
        "0,5",
        "1 000",
        "٣",
        "0x10",
        "9" * 400,
        "true",
        "false",
        "sync",
        "async",
        "hard",
        "99.95",
        "1.0",
    ),
    *(
        "shop",
        "db",
        "ghost",
        "a\nb",
        "a\r\nb",
        'say "hi"',
        "\u0000",
        "\u2028",
        "x" * 300,
        "é",
        "=1+1",
        "☃" * 90,
    ),
    *(str(START), str(START * 1000), "1e9", "2026-10-25", "2026-10-25T00:00:00+02:00", "2026-10-25T00:30:00"),
    *("2026-02-30", "9999-12-31T23:59:59-12:00", "0001-01-01", "60", "300", "3600", "7", "86400", "21600"),
)
BYTES = (
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b",",
    b";",
    b"\n",
    b"\r",
    b"\t",
    b"0",
    b"9",
    b"-",
    b"e",
    b"\xc3\xa9",
    b"\xef\xbb\xbf",
)


def good() -> dict[str, bytes]:
    """One of every kind of file, all right."""

    def text(header: str, *rows: str) -> bytes:
        return "\n".join([header, *rows, ""]).encode()

    return {
        "services.csv": text(
            SERVICES, "shop,web,critical,false,", "db,web,high,false,", "bank,,low,true,0.9995"
        ),
        "dependencies.csv": text(DEPENDENCIES, "shop,db,sync,hard,2", "shop,bank,async,soft,"),
        "sli.csv": text(
            SLI,
            *(f"shop,{START + i * HOUR},3600,{100 + i},{i},10,20,30" for i in range(4)),
            *(f"db,{START + i * 900},900,50,1,,{5 + i}," for i in range(4)),
            "db,2026-10-24T00:00:00Z,86400,2400,24,,,",
        ),
        "edge_sli.csv": text(EDGE_SLI, *(f"shop,db,{START + i * 1800},1800,90,{i}" for i in range(4))),
        "latency_buckets.csv": text(
            BUCKETS,
            *(
                f"shop,{START + i * HOUR},3600,{le},{n}"
                for i in range(2)
                for le, n in ((5, 8), (9, 9), ("+Inf", 9))
            ),
        ),
    }


def mutations() -> st.SearchStrategy[Mutation]:
    """One thing that happens to one of the files."""
    file = st.sampled_from(sorted(good()))
    place = st.floats(0, 1, exclude_max=True)

    def of_bytes(name: str, at: float, removed: int, added: bytes) -> Mutation:
        def mutate(files: dict[str, bytes]) -> None:
            data = files[name]
            index = int(at * (len(data) + 1))
            files[name] = data[:index] + added + data[index + removed :]

        return mutate

    def of_cells(name: str, row: float, column: float, value: str) -> Mutation:
        def change(table: list[list[str]]) -> None:
            chosen = table[int(row * len(table))]
            if chosen:
                chosen[int(column * len(chosen))] = value

        return _of_table(name, change)

    def of_rows(name: str, row: float, other: float, times: int) -> Mutation:
        def change(table: list[list[str]]) -> None:
            chosen = table.pop(int(row * len(table)))
            for _ in range(times):
                table.insert(int(other * (len(table) + 1)), chosen)

        return _of_table(name, change)

    def of_columns(name: str, column: float, other: float, times: int) -> Mutation:
        def change(table: list[list[str]]) -> None:
            for row in filter(None, table):
                cell = row.pop(int(column * len(row)))
                for _ in range(times):
                    row.insert(int(other * (len(row) + 1)), cell)

        return _of_table(name, change)

    def of_whole(name: str, change: Callable[[bytes], bytes]) -> Mutation:
        def mutate(files: dict[str, bytes]) -> None:
            files[name] = change(files[name])

        return mutate

    whole: list[Callable[[bytes], bytes]] = [
        lambda _: b"",
        lambda data: data.decode("utf-8", "replace").encode("utf-16"),
        lambda data: data.decode("utf-8", "replace").encode("latin-1", "replace"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.replace(b",", b";"),
        lambda data: data.split(b"\n", 1)[-1],
        lambda data: data.split(b"\n", 1)[0],
        lambda data: data.upper(),
        lambda data: data * 2,
        lambda data: data[: len(data) // 2],
    ]
    return st.one_of(
        st.builds(of_bytes, file, place, st.integers(0, 3), st.sampled_from(BYTES)),
        st.builds(of_cells, file, place, place, st.one_of(st.sampled_from(NASTY), st.text(max_size=8))),
        st.builds(of_rows, file, place, place, st.integers(0, 2)),
        st.builds(of_columns, file, place, place, st.integers(0, 2)),
        st.builds(of_whole, file, st.sampled_from(whole)),
    )


def _of_table(name: str, change: Callable[[list[list[str]]], None]) -> Mutation:
    def mutate(files: dict[str, bytes]) -> None:
        lines = files[name].decode("utf-8", "replace").split("\n")
        table = [line.split(",") if line else [] for line in lines]
        change(table)
        files[name] = "\n".join(",".join(row) for row in table).encode("utf-8", "surrogatepass")

    return mutate


def rows_of(path: Path) -> list[dict[str, str]]:
    """An independent reading of a file that was accepted."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = [row for row in csv.reader(handle) if any(cell.strip() for cell in row)]
    header = [name.strip().lower() for name in rows[0]]
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def everything() -> list[object]:
    return [
        *snapshot(),
        sorted(Service.objects.values_list("service_id", "criticality", "published_sla")),
        sorted(Dependency.objects.values_list("source_id", "target_id", "mode")),
        sorted(Team.objects.values_list("name", flat=True)),
    ]


def check_accepted(folder: Path, result: ImportResult) -> None:
    """Everything that the files say is counted and stored."""
    read = {path.name: rows_of(path) for path in folder.iterdir()}
    assert result.rows == {name: len(rows) for name, rows in read.items()}
    named = {row["service_id"] for row in read["services.csv"]}
    named |= {row[end] for row in read["dependencies.csv"] for end in ("source", "target")}
    assert set(Service.objects.values_list("service_id", flat=True)) == named
    assert Dependency.objects.count() == len(read["dependencies.csv"])
    fine = [row for row in read["sli.csv"] if float(row["step_seconds"]) <= HOUR]
    for model, rows in ((SliHour, fine), (EdgeHour, read["edge_sli.csv"])):
        stored = model.objects.aggregate(total=Sum("total", default=0.0), bad=Sum("bad", default=0.0))
        for name in ("total", "bad"):
            assert math.isclose(
                stored[name], sum(float(row[name]) for row in rows), rel_tol=1e-9, abs_tol=1e-9
            )
    coarse = len(fine) < len(read["sli.csv"])
    assert SliDay.objects.exists() == bool(fine or coarse)
    assert LatencyHour.objects.exists() == bool(read["latency_buckets.csv"])


def check_refused(folder: Path, error: InvalidInput) -> None:
    """Every problem has its place: a file that is there, and a line that it has."""
    problems = error.extra["problems"]
    assert 0 < len(problems) <= error.extra["error_count"]
    for problem in problems:
        lines = (
            (folder / problem["file"]).read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")
        )
        assert 1 <= problem["line"] <= lines + 1
        assert problem["reason"]
        assert "Input should" not in problem["reason"]


@pytest.mark.long
@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(mutations(), max_size=3))
def test_a_folder_is_taken_as_a_whole_or_refused_with_places_and_nothing_is_half_applied(
    changes: list[Mutation],
) -> None:
    files = good()
    for change in changes:
        change(files)
    with TemporaryDirectory() as name, transaction.atomic():
        folder = Path(name)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        before = everything()
        try:
            result = import_folder(folder)
        except InvalidInput as error:
            check_refused(folder, error)
            assert everything() == before
        else:
            check_accepted(folder, result)
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_the_folder_that_is_changed_is_accepted_as_it_is(tmp_path: Path) -> None:
    for file, data in good().items():
        (tmp_path / file).write_bytes(data)
    check_accepted(tmp_path, import_folder(tmp_path))
