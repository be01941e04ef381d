"""Folders as people export them: each fault is one sentence with the file, the line, the column and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apps.core.errors import InvalidInput
from apps.telemetry.clients.files.instants import parse_instant
from apps.telemetry.models import SliHour
from tests.telemetry.folders import HOUR, SERVICES, SLI, START, import_folder, write, write_services
from tests.telemetry.test_import import hours, refused

pytestmark = pytest.mark.django_db

GOOD = f"shop,{START},3600,10,1,5,20,30"
COLUMNS = (
    "the first line must name the columns: service_id,timestamp,step_seconds,total,bad,p50_ms,p95_ms,p99_ms"
)


def sli(folder: Path, content: str | bytes) -> None:
    write_services(folder, "shop")
    (folder / "sli.csv").write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        ("", 1, "", f"is empty: {COLUMNS}"),
        ("\n \n\n", 1, "", f"is empty: {COLUMNS}"),
        (f"{GOOD}\n{GOOD}\n", 1, "", COLUMNS),
        (f"{SLI}\n{GOOD}\n".replace(",", ";"), 1, "", "semicolons (';'): export it with commas"),
        (f"{SLI}\n{GOOD}\n".replace(",", "\t"), 1, "", "tabs ('\\t'): export it with commas"),
        ('"service_id";"timestamp"\n"shop";"1"\n', 1, "", "semicolons (';'): export it with commas"),
        (f"\n{SLI}\n{GOOD}\n".replace(",", ";"), 2, "", "semicolons"),
        (f"{SLI}\n{GOOD.replace(',', ';')}\n", 2, "", "values are not separated by commas"),
        (f"{SLI}\n{GOOD}\n".encode("utf-16"), 1, "", "is UTF-16: save it as UTF-8"),
        (f"{SLI}\n{GOOD}\n".encode("utf-16-le"), 1, "", "save it as UTF-8"),
        (b"PK\x03\x04....", 1, "", "is a spreadsheet or an archive"),
        (b"\x1f\x8b\x08....", 1, "", "is compressed: unpack it first"),
        (f"{SLI}\n{GOOD}\nsh\u00f6p,{GOOD[5:]}\n".encode("latin-1"), 3, "service_id", "in Latin-1 '\u00f6'"),
        (
            SLI.replace("total", "totals") + "\n",
            1,
            "totals",
            "sli.csv has no such column: rename it to total",
        ),
        (SLI.replace("total,", "") + "\n", 1, "total", "this column is missing; the columns are service_id,"),
        (SLI.replace("p50_ms", "total") + "\n", 1, "total", "more than once: keep one of them"),
        (SLI + ",\n", 1, "", "column 9 has no name"),
        (f"\n\n{SLI},colour\n", 3, "colour", "remove it; there are service_id,"),
        (
            f'{SLI}\n{GOOD}\n"shop,{GOOD[5:]}\n{GOOD}\n',
            3,
            "",
            "a quotation mark in the record that begins here",
        ),
        (f'{SLI}\n{GOOD}\n"sh"op,{GOOD[5:]}\n', 3, "", "text after a closing quotation mark"),
        (f"{SLI}\nshop,{START},3600,1,000,1,5,20,30\n", 2, "", "leave out thousands separators"),
        (f"{SLI}\nshop,{START},3600\n", 2, "total", "the line has 3 values, the header names 8 columns"),
    ],
)
def test_a_file_that_was_exported_wrongly_has_one_fault_with_what_to_do(
    tmp_path: Path, content: str | bytes, line: int, column: str, words: str
) -> None:
    sli(tmp_path, content)
    ((where, reason),) = refused(tmp_path).items()
    assert where == ("sli.csv", line, column)
    assert words in reason


@pytest.mark.parametrize(
    "content",
    [
        f"{SLI}\n{GOOD}\n".encode("utf-8-sig"),
        f"{SLI}\r\n{GOOD}\r\n".encode(),
        f"{SLI}\r{GOOD}\r".encode(),
        f"\n\n{SLI}\n\n{GOOD}".encode(),
        f"{SLI.upper()}\n{GOOD}\n".encode(),
        f"{SLI.replace(',', ' , ')}\n{GOOD}\n".encode(),
    ],
)
def test_what_editors_and_spreadsheets_make_of_a_file_is_read(tmp_path: Path, content: bytes) -> None:
    sli(tmp_path, content)
    import_folder(tmp_path)
    assert [(hour.total, hour.p99_ms) for hour in hours("shop")] == [(10, [30])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_is_the_one_that_an_editor_shows_where_values_span_several(tmp_path: Path, end: str) -> None:
    rows = [SLI, f'"two{end}lines",{GOOD[5:]}', "", GOOD.replace(",10,", ",ten,")]
    sli(tmp_path, end.join(rows))
    assert set(refused(tmp_path)) == {("sli.csv", 2, "service_id"), ("sli.csv", 5, "total")}


def test_a_row_that_stands_twice_names_the_line_of_the_other(tmp_path: Path) -> None:
    write(tmp_path, "services.csv", SERVICES, ["", "shop,web,high,false,", "shop,web,high,false,"])
    assert refused(tmp_path) == {("services.csv", 4, "service_id"): "shop is already in line 3"}


def test_file_names_are_read_in_capitals_and_named_as_they_are(tmp_path: Path) -> None:
    sli(tmp_path, f"{SLI}\n{GOOD}\n")
    (tmp_path / "sli.csv").rename(tmp_path / "SLI.CSV")
    assert import_folder(tmp_path).rows == {"services.csv": 1, "sli.csv": 1}
    (tmp_path / "SLI.CSV").write_text(f"{SLI}\n{GOOD}\n{GOOD}\n")
    assert set(refused(tmp_path)) == {("SLI.CSV", 3, "timestamp")}


def test_one_file_under_two_names_is_refused(tmp_path: Path) -> None:
    sli(tmp_path, f"{SLI}\n{GOOD}\n")
    (tmp_path / "Sli.csv").write_text(SLI)
    if len(os.listdir(tmp_path)) < 3:  # noqa: PTH208
        pytest.skip("this file system does not tell capitals apart")
    with pytest.raises(InvalidInput, match=r"both Sli\.csv and sli\.csv: remove one"):
        import_folder(tmp_path)


def test_whatever_else_lies_in_the_folder_is_named(tmp_path: Path) -> None:
    sli(tmp_path, f"{SLI}\n{GOOD}\n")
    for name in ("notes.txt", "edge-sli.csv", ".hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "old").mkdir()
    (words,) = import_folder(tmp_path).warnings
    assert words.startswith("Not read: edge-sli.csv, notes.txt, old.")
    assert words.endswith("Is edge-sli.csv meant to be edge_sli.csv?")


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    sli(tmp_path, f"{SLI}\n")
    result = import_folder(tmp_path)
    assert result.rows == {"services.csv": 1, "sli.csv": 0}
    assert result.warnings == ["sli.csv has no rows."]


@pytest.mark.parametrize(
    ("sla", "words"),
    [
        ("99.95", "'99.95' is a percentage; write the ratio: 0.9995"),
        ("99.95%", "'99.95%' is a percentage; write the ratio: 0.9995"),
        ("1", "nobody keeps 100 %; write a ratio below 1, or leave it blank"),
        ("100", "nobody keeps 100 %; write a ratio below 1, or leave it blank"),
        ("0", "'0' is not between 0 and 1"),
        ("-1", "'-1' is not between 0 and 1"),
        ("nan", "'nan' is not a number"),
        ("high", "'high' is not a number; write the ratio that is published"),
    ],
)
def test_a_published_sla_that_is_no_ratio_says_which_to_write(tmp_path: Path, sla: str, words: str) -> None:
    write(tmp_path, "services.csv", SERVICES, [("bank", "", "high", "true", sla)])
    assert refused(tmp_path)["services.csv", 2, "published_sla"].startswith(words)


@pytest.mark.parametrize(
    ("percentiles", "column", "words"),
    [
        ("20,10,30", "p95_ms", "p50_ms is 20 and p95_ms is 10: a percentile cannot be below a smaller one"),
        ("20,,10", "p99_ms", "p50_ms is 20 and p99_ms is 10"),
        (",20,10", "p99_ms", "p95_ms is 20 and p99_ms is 10"),
        ("1,1e12,", "p95_ms", "is too long for a latency"),
        ("1,inf,", "p95_ms", "is too long for a latency"),
    ],
)
def test_percentiles_that_cannot_be_are_refused(
    tmp_path: Path, percentiles: str, column: str, words: str
) -> None:
    sli(tmp_path, f"{SLI}\nshop,{START},3600,10,1,{percentiles}\n")
    assert words in refused(tmp_path)["sli.csv", 2, column]


@pytest.mark.parametrize(
    ("total", "words"),
    [
        ('"1,000"', "write it without thousands separators"),
        ("1 000", "write it without thousands separators"),
        ('"0,5"', "write 0.5, with a decimal point"),
        ("10 req", "write it without 'req'"),
        ("", "is empty; write a number"),
        ("nan", "NaN is no count"),
        ("1e300", "is too large for a count"),
    ],
)
def test_a_count_that_is_none_says_how_to_write_it(tmp_path: Path, total: str, words: str) -> None:
    sli(tmp_path, f"{SLI}\nshop,{START},3600,{total},0,,,\n")
    assert words in refused(tmp_path)["sli.csv", 2, "total"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("1793491200000", "milliseconds: divide by 1,000"),
        ("1793491200000000", "microseconds: divide by 1,000,000"),
        ("1793491200000000000", "nanoseconds: divide by 1,000,000,000"),
        ("1.79349E+09", "was rounded by a spreadsheet"),
        ("20261101", "write a date with dashes: 2026-11-01"),
        ("01/11/2026 00:00", "is neither ISO 8601"),
        ("2026-11-01T00:00:00.5Z", "is not a whole second"),
        ("1969-12-31T00:00:00Z", "is not between the years 2000 and 2100"),
        ("inf", "is no instant"),
        ("nan", "is no instant"),
        ("9" * 400, "is no instant"),
    ],
)
def test_a_timestamp_that_cannot_be_read_says_what_it_looks_like(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        parse_instant(text)


def test_times_with_and_without_an_offset_in_one_file_are_told(tmp_path: Path) -> None:
    with_offset = "2026-10-25T02:00:00+02:00"
    sli(tmp_path, f"{SLI}\nshop,{with_offset},3600,1,0,,,\nshop,2026-10-25T01:00:00,3600,1,0,,,\n")
    result = import_folder(tmp_path)
    assert [hour.bin_start.timestamp() for hour in hours("shop")] == [START, START + HOUR]
    assert result.warnings == [
        "sli.csv: some timestamps name an offset and others do not; those without one, from line 3 on, "
        "were taken as UTC."
    ]


def test_times_that_all_leave_the_zone_open_or_are_unix_seconds_are_not_remarked_on(tmp_path: Path) -> None:
    sli(tmp_path, f"{SLI}\nshop,2026-10-25T00:00:00,3600,1,0,,,\nshop,{START + HOUR},3600,1,0,,,\n")
    assert import_folder(tmp_path).warnings == []
    assert SliHour.objects.count() == 2


def test_a_bin_whose_year_is_wrong_is_named_and_an_old_recording_alone_is_not(tmp_path: Path) -> None:
    old = f"shop,2003-08-21T09:00:00Z,{GOOD.split(',', 2)[2]}"
    sli(tmp_path, f"{SLI}\n{GOOD}\n{old}\n")
    ((where, reason),) = refused(tmp_path).items()
    assert where == ("sli.csv", 3, "timestamp")
    assert "more than ten years before the newest one (2026-10-25T00:00:00Z): is the year right?" in reason
    sli(tmp_path, f"{SLI}\n{old}\n")
    import_folder(tmp_path)
    assert [hour.bin_start.year for hour in hours("shop")] == [2003]


@pytest.mark.parametrize("step", ["inf", "nan", "-inf", "0", "-60", "0.5", "7", "1e300"])
def test_a_width_that_cannot_be_is_named(tmp_path: Path, step: str) -> None:
    sli(tmp_path, f"{SLI}\nshop,{START},{step},10,1,,,\n")
    assert (
        "cannot be: a bin is as wide as a divisor of an hour"
        in refused(tmp_path)["sli.csv", 2, "step_seconds"]
    )
