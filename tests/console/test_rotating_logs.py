"""Logs change files under a program that writes on: nothing is lost, and two files bound the whole."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from console.embedded.logs import RotatingLog


def kept(log: RotatingLog) -> bytes:
    """What is in the two files, in the order of writing."""
    older = log.path.with_suffix(".log.1")
    return (older.read_bytes() if older.exists() else b"") + log.path.read_bytes()


@pytest.mark.parametrize("seed", range(20))
def test_two_files_hold_the_newest_lines_whole(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    limit = draw.randrange(200, 5_000)
    log = RotatingLog(tmp_path, "child", limit_bytes=limit)
    lines = [b"%d %s\n" % (number, b"x" * draw.randrange(150)) for number in range(draw.randrange(20, 400))]
    whole = b"".join(lines)
    at = 0
    while at < len(whole):
        size = draw.randrange(1, 3_000)
        log.write(whole[at : at + size])
        at += size
        assert all(path.stat().st_size <= limit for path in (tmp_path / "logs").iterdir())
    assert whole.endswith(kept(log))
    assert len(kept(log)) >= min(limit - 200, len(whole))


def test_a_program_that_writes_on_loses_no_line_when_the_file_changes(tmp_path: Path) -> None:
    lines = [b"line %d\n" % number for number in range(5_000)]
    whole = b"".join(lines)
    log = RotatingLog(tmp_path, "child", limit_bytes=len(whole) * 2 // 3)
    with os.fdopen(log.pipe(), "wb", buffering=0) as program:
        for line in lines:
            program.write(line)
    log.await_end(30)
    assert kept(log) == whole
    assert log.path.with_suffix(".log.1").exists()


def test_a_line_longer_than_a_file_is_cut_not_kept_in_memory(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path, "child", limit_bytes=1_000)
    log.write(b"a" * 10_500 + b"\n")
    assert all(path.stat().st_size <= 1_000 for path in (tmp_path / "logs").iterdir())
    assert kept(log).endswith(b"a\n")


def test_a_disk_that_takes_nothing_costs_lines_and_says_how_many(tmp_path: Path) -> None:
    blocked = tmp_path / "logs"
    blocked.write_text("a file where the folder should be")
    log = RotatingLog(tmp_path, "child", limit_bytes=1_000)
    log.write(b"lost\n")
    blocked.unlink()
    log.write(b"kept\n")
    assert kept(log) == b"log: 5 bytes could not be written and are lost\nkept\n"


def test_the_last_words_are_those_of_the_newest_start(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path, "child", limit_bytes=1_000)
    log.write(b"ValueError: of the start before\n")
    with os.fdopen(log.pipe(), "wb") as program:
        program.write(b"it went well\n")
    log.await_end(30)
    assert log.last_words() == "it went well"
