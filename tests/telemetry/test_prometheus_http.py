"""The connection to Prometheus against a server that misbehaves in every way one has met."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from apps.core.resilience import BreakerState, CircuitBreaker
from apps.telemetry.clients.errors import (
    BadAnswer,
    SourceError,
    SourceRefused,
    SourceTimeout,
    SourceUnavailable,
    TooMuchData,
)
from apps.telemetry.clients.last_good import LastGood
from apps.telemetry.clients.prometheus_http import PrometheusHttp
from tests.telemetry.prometheus_server import Reply, error, matrix, serving, success


class Shelf:
    """A cache in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str, /) -> Any:
        return self.kept.get(key)

    def set(self, key: str, value: Any, /, timeout: float | None = None) -> None:
        self.kept[key] = value


@pytest.fixture(autouse=True)
def _no_waits_between_tries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def connect(url: str, **options: Any) -> PrometheusHttp:
    options.setdefault("breaker", CircuitBreaker(url))
    options.setdefault("last_good", LastGood(None, url))
    return PrometheusHttp(url, **options)


ASK = {"query": "up"}


def test_it_posts_a_form_with_token_and_tenant() -> None:
    with serving(lambda path, form: success(matrix())) as server:
        with connect(server.url + "/prometheus/", token="s3cret", org_id="team-a") as http:
            http.ask("query_range", {"query": "up{a='b'}", "start": "1", "end": "2", "step": "1"})
        asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/prometheus/api/v1/query_range")
    assert asked.form["query"] == ["up{a='b'}"]
    assert asked.headers["Authorization"] == "Bearer s3cret"
    assert asked.headers["X-Scope-OrgID"] == "team-a"


def test_the_token_is_in_no_representation() -> None:
    with connect("http://127.0.0.1:9", token="s3cret") as http:
        assert "s3cret" not in repr(http)


def test_warnings_and_notes_come_with_the_answer_scrubbed() -> None:
    with (
        serving(
            lambda path, form: success(matrix(), warnings=["store 10.0.0.1 is gone"], infos=["not a counter"])
        ) as server,
        connect(server.url) as http,
    ):
        answer = http.ask("query", ASK)
    assert answer.warnings == ("store [IP address] is gone",)
    assert answer.notes == ("not a counter",)


def test_a_server_error_is_tried_again_a_bounded_number_of_times() -> None:
    with serving(lambda path, form: Reply(body=b"upstream", status=502, content_type="text/html")) as server:
        with connect(server.url) as http, pytest.raises(SourceUnavailable, match="502"):
            http.ask("query", ASK)
        assert len(server.asked) == 3


def test_it_recovers_when_the_second_try_succeeds() -> None:
    replies = iter([error(503, "internal", "starting"), success("fine")])
    with serving(lambda path, form: next(replies)) as server, connect(server.url) as http:
        assert http.ask("query", ASK).data == "fine"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (error(400, "bad_data", "parse error at 1:5"), SourceRefused, "parse error"),
        (
            error(422, "execution", "query processing would load too many samples"),
            TooMuchData,
            "too many samples",
        ),
        (error(400, "bad_data", "exceeded maximum resolution of 11,000 points"), TooMuchData, "11,000"),
        (error(503, "timeout", "query timed out"), TooMuchData, "Fewer"),
        (Reply(body=b"no", status=401), SourceRefused, "PROMETHEUS_TOKEN"),
        (Reply(body=b"no org id", status=401), SourceRefused, "PROMETHEUS_ORG_ID"),
        (Reply(body=b"404 page not found", status=404), SourceRefused, "/api/v1/query"),
        (Reply(body=b"slow down", status=429), SourceUnavailable, "limits"),
        (Reply(body=b"", status=302, headers={"Location": "https://sso/"}), SourceRefused, "https://sso/"),
        (Reply(body=b"<html>Sign in</html>", status=200), BadAnswer, "Sign in"),
        (Reply(document=["not", "an", "envelope"]), BadAnswer, "PROMETHEUS_URL"),
        (Reply(document={"status": "success"}), BadAnswer, "PROMETHEUS_URL"),
        (Reply(body=b"", status=200), BadAnswer, "empty body"),
    ],
)
def test_each_failure_says_what_happened_and_what_to_do(
    reply: Reply, kind: type[SourceError], words: str
) -> None:
    with (
        serving(lambda path, form: reply) as server,
        connect(server.url) as http,
        pytest.raises(kind) as caught,
    ):
        http.ask("query", ASK)
    assert type(caught.value) is kind
    assert words in caught.value.detail
    assert caught.value.http_status == reply.status


def test_what_is_refused_is_not_tried_again() -> None:
    with serving(lambda path, form: error(400, "bad_data", "no")) as server:
        with connect(server.url) as http, pytest.raises(SourceRefused):
            http.ask("query", ASK)
        assert len(server.asked) == 1


def test_an_answer_that_stops_halfway_times_out() -> None:
    release = threading.Event()
    with serving(lambda path, form: Reply({"status": "success", "data": "x" * 100}, hang=release)) as server:
        with connect(server.url, read_timeout_seconds=0.2) as http, pytest.raises(SourceTimeout):
            http.ask("query", ASK)
        release.set()
        assert len(server.asked) == 1


def test_the_whole_question_has_a_deadline_even_if_bytes_keep_coming() -> None:
    ticks = iter(range(0, 1000, 5))
    with (
        serving(lambda path, form: success("x" * 100_000)) as server,
        connect(server.url, timeout_seconds=12, clock=lambda: float(next(ticks))) as http,
        pytest.raises(SourceTimeout, match="12 s"),
    ):
        http.ask("query", ASK)


def test_an_answer_over_the_limit_is_not_read_to_its_end() -> None:
    with (
        serving(lambda path, form: success("x" * 100_000)) as server,
        connect(server.url, max_bytes=10_000) as http,
        pytest.raises(TooMuchData, match="max_answer_mb"),
    ):
        http.ask("query", ASK)


def test_the_limit_counts_what_a_compressed_answer_unfolds_to() -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    with (
        serving(lambda path, form: Reply(body=bomb, headers={"Content-Encoding": "gzip"})) as server,
        connect(server.url, max_bytes=100_000) as http,
        pytest.raises(TooMuchData),
    ):
        http.ask("query", ASK)


def test_nobody_listening_is_told_with_the_address() -> None:
    with connect("http://127.0.0.1:9") as http, pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9"):
        http.ask("query", ASK)


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with connect(url) as http, pytest.raises(SourceRefused, match="http://"):
        http.ask("query", ASK)


def test_the_breaker_opens_and_the_server_is_left_alone() -> None:
    with serving(lambda path, form: Reply(body=b"", status=500)) as server, connect(server.url) as http:
        for _ in range(4):
            with pytest.raises(SourceUnavailable):
                http.ask("query", ASK)
        assert http.breaker.state is BreakerState.OPEN
        asked = len(server.asked)
        with pytest.raises(SourceUnavailable, match="not asked for now"):
            http.ask("query", ASK)
        assert len(server.asked) == asked == 10


def test_bad_queries_never_open_the_breaker() -> None:
    with serving(lambda path, form: error(400, "bad_data", "no")) as server, connect(server.url) as http:
        for _ in range(12):
            with pytest.raises(SourceRefused):
                http.ask("query", ASK)
        assert http.breaker.state is BreakerState.CLOSED


def test_the_last_good_answer_is_served_with_its_age_while_the_server_is_down() -> None:
    now = [5000.0]
    replies = [success("good", warnings=["partly"])]
    with (
        serving(lambda path, form: replies[-1]) as server,
        connect(server.url, last_good=LastGood(Shelf(), server.url, now=lambda: now[0])) as http,
    ):
        assert http.ask("query", ASK, stale_question="up").age_seconds == 0
        replies.append(Reply(body=b"", status=503))
        now[0] += 90
        answer = http.ask("query", ASK, stale_question="up")
        assert (answer.data, answer.age_seconds, answer.warnings) == ("good", 90, ("partly",))
        assert "503" in answer.failure
        with pytest.raises(SourceUnavailable):
            http.ask("query", ASK)
        with pytest.raises(SourceUnavailable):
            http.ask("query", ASK, stale_question="another question")


def test_whoever_looks_waits_for_a_source_that_is_down_only_once() -> None:
    replies = [success("good")]
    with (
        serving(lambda path, form: replies[-1]) as server,
        connect(server.url, last_good=LastGood(Shelf(), server.url)) as http,
    ):
        for question in ("a", "b", "c"):
            http.ask("query", ASK, stale_question=question)
        replies.append(Reply(body=b"", status=503))
        asked = len(server.asked)
        for question in ("a", "b", "c"):
            assert http.ask("query", ASK, stale_question=question).age_seconds > 0
        assert len(server.asked) == asked + 3


def test_a_refusal_is_never_covered_up_by_an_old_answer() -> None:
    replies = [success("good")]
    with (
        serving(lambda path, form: replies[-1]) as server,
        connect(server.url, last_good=LastGood(Shelf(), server.url)) as http,
    ):
        http.ask("query", ASK, stale_question="up")
        replies.append(error(400, "bad_data", "no"))
        with pytest.raises(SourceRefused):
            http.ask("query", ASK, stale_question="up")


def test_an_answer_too_large_for_the_cache_is_not_kept() -> None:
    shelf = Shelf()
    noise = [str(hash((number, "noise"))) for number in range(60_000)]
    with (
        serving(lambda path, form: success(noise)) as server,
        connect(server.url, last_good=LastGood(shelf, server.url)) as http,
    ):
        http.ask("query", ASK, stale_question="up")
    assert shelf.kept == {}


def test_time_is_monotonic_by_default() -> None:
    assert connect("http://127.0.0.1:9").clock is time.monotonic
