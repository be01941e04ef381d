"""Finds what is wrong with a CSV file as a whole: its encoding, separator, header or quotation marks.

Each fault is one sentence with what to do, and the line as an editor counts it. A file that was exported wrongly has
one fault, not one in each row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from apps.telemetry.clients.files.instants import quoted

#: How much of a file is checked before it is read.
SNIFFED_BYTES = 64 * 1024
_LINE_END = re.compile(r"\r\n|\r|\n")
_LINE_END_BYTES = re.compile(rb"\r\n|\r|\n")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_NOT_TEXT = (
    (b"PK\x03\x04", "is a spreadsheet or an archive, not CSV: export it as CSV with commas, in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet, not CSV: export it as CSV with commas, in UTF-8"),
    (b"\x1f\x8b", "is compressed: unpack it first"),
    (b"\xff\xfe", "is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16: save it as UTF-8"),
)

type Fault = tuple[int, str, str]
"""The line, the column, and what is wrong."""


def line_ends(text: str) -> int:
    """Return the number of line breaks in a text, as an editor counts them."""
    return len(_LINE_END.findall(text))


def fault_before_reading(head: bytes, columns: Sequence[str]) -> Fault | None:
    """Return why the first bytes of a file are not CSV in UTF-8, or ``None`` where they can be."""
    for signature, words in _NOT_TEXT:
        if head.startswith(signature):
            return 1, "", words
    text = head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    if not text.strip():
        return 1, "", f"is empty: the first line must name the columns: {','.join(columns)}"
    if head.count(0) > len(head) // 4:
        return 1, "", "is UTF-16 or not text at all: save it as UTF-8"
    for line, words in enumerate(_LINE_END.split(text), start=1):
        if words.strip():
            other = _other_separator(words, columns)
            return (line, "", f"columns are separated by {other}: export it with commas") if other else None
    return None


def _other_separator(header: str, columns: Sequence[str]) -> str:
    def known(separator: str) -> int:
        return len({name.strip(' "').lower() for name in header.split(separator)} & set(columns))

    for separator, words in _OTHER_SEPARATORS.items():
        if known(separator) > known(","):
            return f"{words} ({quoted(separator)})"
    return ""


def fault_of_encoding(path: Path) -> Fault:
    """Return the first place where a file is not UTF-8."""
    line = 1
    header: list[str] = []
    with path.open("rb") as handle:
        for raw in handle:
            try:
                text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
            except UnicodeDecodeError as error:
                before = raw[: error.start]
                line += len(_LINE_END_BYTES.findall(before))
                start = max(before.rfind(b"\n"), before.rfind(b"\r")) + 1
                place = max(1, len(next(csv.reader([before[start:].decode("latin-1")]), [])))
                column = header[place - 1] if place <= len(header) else ""
                return line, column, _not_utf8(raw[error.start])
            if not header:
                header = [name.strip() for name in text.rstrip("\r\n").split(",")]
            line += line_ends(text)
    return line, "", "is not UTF-8: save it as UTF-8"


def _not_utf8(byte: int) -> str:
    character = bytes([byte]).decode("latin-1")
    guess = f", in Latin-1 {character!r}" if character.isprintable() else ""
    return f"is not UTF-8 (the byte 0x{byte:02X}{guess}): save the file as UTF-8"


def faults_of_header(
    header: Sequence[str], line: int, file: str, required: Sequence[str], optional: Sequence[str]
) -> list[Fault]:
    """Return the faults of a header; ``header`` is in lower case, without white space around names."""
    known = [*required, *optional]
    columns = ",".join(known)
    if not set(header) & set(known):
        return [(line, "", f"the first line must name the columns: {columns}")]
    missing = [name for name in required if name not in header]
    faults: list[Fault] = []
    absent = [name for name in known if name not in header]
    for place, name in enumerate(header, start=1):
        if name in known:
            continue
        meant = get_close_matches(name, absent, n=1)
        if meant:
            absent.remove(meant[0])
            missing = [one for one in missing if one != meant[0]]
            faults.append((line, name[:80], f"{file} has no such column: rename it to {meant[0]}"))
        elif not name:
            faults.append((line, "", f"column {place} has no name: remove it, or the extra comma"))
        else:
            faults.append((line, name[:80], f"{file} has no such column: remove it; there are {columns}"))
    twice = sorted({name for name in header if name in known and header.count(name) > 1})
    return [
        *faults,
        *((line, name, f"this column is missing; the columns are {columns}") for name in missing),
        *((line, name, "this column is there more than once: keep one of them") for name in twice),
    ]


def fault_of_row(row: Sequence[str], header: Sequence[str]) -> tuple[str, str]:
    """Return the column and the fault of a row that has more or fewer values than the header has columns."""
    count = f"{len(row)} value{'' if len(row) == 1 else 's'}"
    if len(row) < len(header):
        if len(row) == 1 and any(character in row[0] for character in _OTHER_SEPARATORS):
            return "", "values are not separated by commas: export the file with commas"
        return header[len(row)], f"is missing: the line has {count}, the header names {len(header)} columns"
    return "", (
        f"has {count}, the header names {len(header)} columns: put values that contain a comma in quotation "
        "marks, write decimals with a point, and leave out thousands separators"
    )


def fault_of_quotes(path: Path, message: str) -> Fault:
    """Return where a file stops being valid CSV: the line on which the faulty record begins."""
    line = 1
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, strict=True)
        try:
            for _ in reader:
                line = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError):
            pass
    if "unexpected end" in message or "field limit" in message:
        return line, "", "a quotation mark in the record that begins here is never closed"
    return (
        line,
        "",
        (
            "there is text after a closing quotation mark: double each quotation mark within a value, "
            "and put the value in quotation marks"
        ),
    )
