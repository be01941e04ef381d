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
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
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
        (
            Reply(body=b"", status=302, headers={"Location": "https://sso/"}),
            SourceRefused,
            "to https://sso/, which",
        ),
        (
            Reply(body=b"", status=307, headers={"Location": "/login"}),
            SourceRefused,
            "if it is a sign-in page",
        ),
        (Reply(body=b"<html>Sign in</html>", status=200), BadAnswer, "a web page: <html>Sign in</html>"),
        (
            Reply(body=b"<!doctype html>\n<Title lang=en>Sign\n in</title>" + b"x" * 9000),
            BadAnswer,
            "a web page titled 'Sign in'",
        ),
        (error(200, "bad_data", "parse error"), SourceRefused, "200 bad_data: parse error"),
        (Reply(body=b"no", status=403), SourceRefused, "PROMETHEUS_TOKEN"),
        (Reply(body=b"no org id", status=401), SourceRefused, "PROMETHEUS_ORG_ID must name a tenant"),
        (
            Reply(body=b"tenant ID 'a/b' contains unsupported character '/'", status=422),
            SourceRefused,
            "PROMETHEUS_ORG_ID must name a tenant",
        ),
        (
            Reply(body=b"the request would load too many bytes", status=422),
            TooMuchData,
            "Fewer services or hours",
        ),
        (Reply(body=b"nonsense", status=422), SourceRefused, "/api/v1/query"),
        (
            Reply(body=b"Client sent an HTTP request to an HTTPS server.\n", status=400),
            SourceRefused,
            "https://",
        ),
        (
            Reply(body=b"later", status=429, headers={"Retry-After": "3600"}),
            SourceUnavailable,
            "asks to wait 3600 s",
        ),
        (Reply(body=b"[" * 500_000), BadAnswer, "not as a Prometheus does"),
        (Reply(body=b"9" * 5_000), BadAnswer, "not as a Prometheus does"),
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
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 600
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
        with pytest.raises(SourceUnavailable, match="not asked at the moment"):
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


def test_a_server_that_asks_for_longer_than_there_is_is_not_asked_again() -> None:
    with serving(lambda path, form: Reply(status=429, body=b"", headers={"Retry-After": "3600"})) as server:
        with connect(server.url) as http, pytest.raises(SourceUnavailable):
            http.ask("query", ASK)
        assert len(server.asked) == 1


@pytest.mark.parametrize("wait", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_server_that_asks_for_a_moment_is_asked_again_after_it(wait: str) -> None:
    replies = iter([Reply(status=429, body=b"", headers={"Retry-After": wait}), success("fine")])
    with serving(lambda path, form: next(replies)) as server, connect(server.url) as http:
        assert http.ask("query", ASK).data == "fine"


@pytest.mark.parametrize("given", ["soon", 5, {"a": 1}, None])
def test_warnings_that_are_no_list_are_none(given: object) -> None:
    document = {"status": "success", "data": "fine", "warnings": given, "infos": given}
    with serving(lambda path, form: Reply(document)) as server, connect(server.url) as http:
        answer = http.ask("query", ASK)
    assert (answer.data, answer.warnings, answer.notes) == ("fine", (), ())


def test_a_server_that_sends_a_byte_now_and_then_is_given_up_at_the_deadline() -> None:
    enough = threading.Event()
    with serving(lambda path, form: Reply(body=b"{}", drip=enough)) as server:
        try:
            with (
                connect(server.url, timeout_seconds=0.5) as http,
                pytest.raises(SourceTimeout, match=r"0\.5 s"),
            ):
                http.ask("query", ASK)
        finally:
            enough.set()
        assert len(server.asked) == 1


def test_all_questions_of_somebody_who_waits_share_their_time() -> None:
    ticks = iter(range(0, 1000))
    with (
        serving(lambda path, form: success("fine")) as server,
        connect(server.url, budget_seconds=100, clock=lambda: float(next(ticks))) as http,
    ):
        http.ask("query", ASK)
        for _ in range(100):
            next(ticks)
        with pytest.raises(SourceTimeout, match="answers too slowly: the 100 s for all questions are over"):
            http.ask("query", ASK)


def test_a_certificate_that_nobody_trusts_is_told_once_with_what_to_set() -> None:
    with (
        serving(lambda path, form: success("fine"), tls=True) as server,
        connect(server.url) as http,
        pytest.raises(SourceRefused, match=r"not trusted here \(self.signed certificate.*SSL_CERT_FILE"),
    ):
        http.ask("query", ASK)


def test_https_to_a_server_without_it_and_the_reverse_are_told_apart() -> None:
    with serving(lambda path, form: success("fine")) as server:
        secure = server.url.replace("http://", "https://")
        with connect(secure) as http, pytest.raises(SourceRefused, match="want http:// instead"):
            http.ask("query", ASK)
    with serving(lambda path, form: success("fine"), tls=True) as server:
        plain = server.url.replace("https://", "http://")
        with connect(plain) as http, pytest.raises(SourceUnavailable, match="want https:// instead"):
            http.ask("query", ASK)


@pytest.mark.parametrize("value", ["t\u00f6ken", "two\nlines", "nul\x00"])
@pytest.mark.parametrize("name", ["token", "org_id"])
def test_a_credential_that_no_header_can_hold_is_told(name: str, value: str) -> None:
    def ask() -> None:
        with (
            serving(lambda path, form: success("fine")) as server,
            connect(server.url, **{name: value}) as http,
        ):
            http.ask("query", ASK)

    with pytest.raises(
        SourceRefused, match="PROMETHEUS_TOKEN or PROMETHEUS_ORG_ID holds a character"
    ) as caught:
        ask()
    assert value not in caught.value.detail
