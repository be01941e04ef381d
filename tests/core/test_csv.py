"""A table as CSV, which no spreadsheet executes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest

from apps.core.web.csv import csv_chunks, csv_response, harmless


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_a_formula_is_disarmed(cell: str) -> None:
    assert harmless(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["payments-api", "a=b", "", 7, -0.5])
def test_anything_else_is_left_as_it_is(cell: object) -> None:
    assert harmless(cell) == cell


def test_the_file_reads_back() -> None:
    rows: list[list[object]] = [["a,b", 'say "hi"', None], ["line\nbreak", 0.5, "=x"]]
    text = "".join(csv_chunks(["one", "two", "three"], rows))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["one", "two", "three"],
        ["a,b", 'say "hi"', ""],
        ["line\nbreak", "0.5", "'=x"],
    ]


def test_rows_are_read_while_the_file_is_sent() -> None:
    read: list[int] = []

    def rows() -> Iterator[list[int]]:
        for number in range(1200):
            read.append(number)
            yield [number]

    chunks = iter(csv_response("x.csv", ["n"], rows()))
    next(chunks)
    assert 0 < len(read) < 1200
