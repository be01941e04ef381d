"""The logs of the embedded servers change files while they run, and stay within twice their size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from console.embedded import ensure
from console.embedded.logs import MAX_LOG_BYTES, log_path
from tests.house.waiting import until

LINE = "x" * 1_000
LINES_AT_ONCE = 500
"""Fewer than a server may say while nobody reads."""


def sizes(data_dir: Path, name: str) -> list[int]:
    return [file.stat().st_size for file in (data_dir / "logs").glob(f"{name}.*")]


def is_logged(data_dir: Path, name: str, word: str, say: Callable[[], object]) -> bool:
    say()
    return word in log_path(data_dir, name).read_text()


def postgres_says(url: str, word: str, times: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DO $$BEGIN FOR n IN 1..{times} LOOP RAISE LOG '{word}'; END LOOP; END$$")


def redis_says(url: str, word: str, times: int) -> None:
    with redis.Redis.from_url(url) as client:
        client.eval(f"for n = 1, {times} do redis.log(redis.LOG_WARNING, '{word}') end", 0)


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_talkative_server_fills_two_files_and_goes_on(data_dir: Path, name: str) -> None:
    with ensure(data_dir, postgres=name == "postgres", redis=name == "redis", durable=False) as servers:

        def say(word: str, times: int = 1) -> None:
            if name == "postgres":
                postgres_says(servers.database_url, word, times)
            else:
                redis_says(servers.redis_url, word, times)

        def has_changed_files() -> bool:
            say(LINE, LINES_AT_ONCE)
            return log_path(data_dir, name).with_suffix(".log.1").exists()

        until(has_changed_files, "the log has changed files")
        until(
            lambda: is_logged(data_dir, name, "the-last-word", lambda: say("the-last-word")), "it is logged"
        )
        found = sizes(data_dir, name)
        assert len(found) == 2
        assert max(found) <= MAX_LOG_BYTES


def test_a_log_that_was_too_long_before_is_put_aside(data_dir: Path) -> None:
    log = log_path(data_dir, "redis")
    log.parent.mkdir(parents=True)
    log.write_text("old\n" * (MAX_LOG_BYTES // 4 + 1))
    with ensure(data_dir, postgres=False, durable=False):
        until(lambda: log.stat().st_size < MAX_LOG_BYTES, "a new one is begun")
