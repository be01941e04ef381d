"""What is read from Prometheus, against a server that answers as one would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import stamina

from apps.core.resilience import CircuitBreaker
from apps.telemetry.clients.errors import SourceRefused, SourceUnavailable, TooMuchData
from apps.telemetry.clients.prometheus.families import TelemetryConfig, load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.source import PrometheusSource
from tests.telemetry.prometheus_server import Form, Reply, Server, error, matrix, serving, success
from tests.telemetry.test_prometheus_http import Shelf

HOUR = 3600
START = 1_760_000_400 // HOUR * HOUR
END = START + 3 * HOUR
ENDS = [START + HOUR, START + 2 * HOUR, START + 3 * HOUR]


@pytest.fixture(autouse=True)
def _no_waits_between_tries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


_LABELS = re.compile(r'count by .(?P<label>[^,]+), .*=~?"(?P<matcher>(?:[^"\\]|\\.)*)"}\[\d+s\]\)\)?$')
_EVIDENCE = re.compile(r"resets\(|min_over_time\(|^count by")


class Fleet:
    """Answers queries by the metric they name; what is not set is empty.

    Questions about evidence (resets, births) are answered only by patterns that name their function. Every series has
    the labels of ``labels``, which hold an HTTP status.
    """

    def __init__(self, *metrics: str) -> None:
        self.metrics = list(metrics)
        self.labels: list[str] = ["code"]
        self.replies: dict[str, Reply | Callable[[Form], Reply]] = {}

    def says(self, pattern: str, reply: Reply | Callable[[Form], Reply]) -> None:
        self.replies[pattern] = reply

    def __call__(self, path: str, form: Form) -> Reply:
        if path.endswith("/label/__name__/values"):
            return success(self.metrics)
        if path.endswith("/status/buildinfo"):
            return success({"version": "3.1.0", "goVersion": "go1.23.2"})
        if path.endswith("/labels"):
            return success(self.labels)
        query = form["query"][0]
        if self.labels and (found := _LABELS.match(query)):
            return self._labels_of(found["label"], found["matcher"], form)
        for pattern, reply in self.replies.items():
            if _EVIDENCE.search(query) and not _EVIDENCE.search(pattern.replace("\\", "").lstrip("^")):
                continue
            if re.search(pattern, query):
                return reply(form) if callable(reply) else reply
        return success(matrix())

    def _labels_of(self, label: str, matcher: str, form: Form) -> Reply:
        names = [name.replace("\\\\", "") for name in matcher.split("|")]
        first, last, step = (int(form[name][0]) for name in ("start", "end", "step"))
        values = [(at, "1") for at in range(first, last + 1, step)]
        series = [({label: name} | dict.fromkeys(self.labels, "200"), values) for name in names]
        return success(matrix(*series))


@contextmanager
def source_on(
    fleet: Fleet,
    *,
    config: TelemetryConfig | None = None,
    serve_stale: bool = False,
    shelf: Shelf | None = None,
) -> Iterator[tuple[PrometheusSource, Server]]:
    with serving(fleet) as server:
        http = PrometheusHttp(server.url, CircuitBreaker(server.url), LastGood(shelf, server.url))
        source = PrometheusSource(
            http, config or load_config(), serve_stale=serve_stale, now=lambda: float(END)
        )
        try:
            yield source, server
        finally:
            source.close()


def counts(service: str, *values: str, label: str = "service") -> Reply:
    return success(matrix(({label: service}, list(zip(ENDS, values, strict=False)))))


def http_fleet() -> Fleet:
    return Fleet("http_requests_total")


def test_counts_are_placed_at_the_start_of_their_bins() -> None:
    fleet = http_fleet()
    fleet.says("code=~", counts("shop", "1", "0", "0"))
    fleet.says("http_requests_total", counts("shop", "100", "200.00004", "0"))
    with source_on(fleet) as (source, server):
        reading = source.availability(["shop"], START, END, HOUR)
    bins = reading.series["shop"]
    assert bins.at == [START, START + HOUR, START + 2 * HOUR]
    assert bins.total == [100, 200, 0]
    assert bins.bad == [1, 0, 0]
    asked = next(one for one in server.asked if "sum by" in one.form.get("query", [""])[0])
    assert (asked.form["start"], asked.form["end"]) == ([str(START + HOUR)], [str(END)])


def test_a_failed_series_that_is_absent_means_no_failure() -> None:
    fleet = http_fleet()
    fleet.says("code=~", success(matrix()))
    fleet.says("http_requests_total", counts("shop", "100", "200", "300"))
    with source_on(fleet) as (source, _):
        assert source.availability(["shop"], START, END, HOUR).series["shop"].bad == [0, 0, 0]


def test_a_bin_without_a_total_is_a_gap_not_a_zero() -> None:
    fleet = http_fleet()
    fleet.says("code=~", success(matrix()))
    fleet.says(
        "http_requests_total", success(matrix(({"service": "shop"}, [(ENDS[0], "5"), (ENDS[2], "7")])))
    )
    with source_on(fleet) as (source, _):
        assert source.availability(["shop"], START, END, HOUR).series["shop"].at == [START, START + 2 * HOUR]


@pytest.mark.parametrize(
    ("total", "bad"),
    [("NaN", "0"), ("+Inf", "0"), ("-5", "0"), ("10", "NaN"), ("10", "-1"), ("10", "12"), ("10", "-Inf")],
)
def test_what_cannot_be_true_is_left_out_and_counted(total: str, bad: str) -> None:
    fleet = http_fleet()
    fleet.says("code=~", counts("shop", "0", bad, "0"))
    fleet.says("http_requests_total", counts("shop", "10", total, "10"))
    with source_on(fleet) as (source, _):
        reading = source.availability(["shop"], START, END, HOUR)
    assert reading.series["shop"].at == [START, START + 2 * HOUR]
    assert reading.series["shop"].implausible == [START + HOUR]
    assert reading.quality.implausible_bins == {"shop": 1}


def test_a_little_over_the_total_is_the_stretch_of_extrapolation() -> None:
    fleet = http_fleet()
    fleet.says("code=~", counts("shop", "100.9", "0", "0"))
    fleet.says("http_requests_total", counts("shop", "100.5", "9", "9"))
    with source_on(fleet) as (source, _):
        bins = source.availability(["shop"], START, END, HOUR).series["shop"]
    assert bins.bad[0] == bins.total[0] == 100.5


def test_warnings_mark_the_bins_they_came_with_as_partial() -> None:
    fleet = http_fleet()
    fleet.says("code=~", success(matrix()))
    data = matrix(({"service": "shop"}, [(ENDS[0], "5")]))
    fleet.says("http_requests_total", success(data, warnings=["a store is gone"], infos=["fyi"]))
    with source_on(fleet) as (source, _):
        reading = source.availability(["shop"], START, END, HOUR)
    assert reading.series["shop"].partial == [True]
    assert reading.quality.warnings == ["a store is gone"]
    assert reading.quality.notes == ["fyi"]
    assert reading.quality.is_partial


def test_each_day_is_read_from_the_first_family_that_has_all_of_it() -> None:
    fleet = Fleet("traces_span_metrics_calls_total", "http_requests_total")
    fleet.says("STATUS_CODE_ERROR", success(matrix()))
    fleet.says("traces_span_metrics_calls_total", counts("shop", "9", "9", "9", label="service_name"))
    fleet.says("code=~", success(matrix()))
    both = success(
        matrix(
            *(
                ({"service": name}, [(at, value) for at in ENDS])
                for name, value in (("legacy", "5"), ("shop", "10"))
            )
        )
    )
    fleet.says("sum by .service. .*http_requests_total", both)
    config = load_config().model_copy(update={"order": ("otel-spanmetrics", "http", "http-job")})
    with source_on(fleet, config=config) as (source, _):
        reading = source.availability(["shop", "legacy"], START, END, HOUR)
    assert reading.series["shop"].total == [9, 9, 9]
    assert [stretch.family for stretch in reading.stretches["shop"]] == ["otel-spanmetrics"]
    assert reading.series["legacy"].total == [5, 5, 5]


def test_sampled_spans_do_not_take_the_place_of_full_counters() -> None:
    fleet = Fleet("traces_span_metrics_calls_total", "http_requests_total")
    fleet.says("STATUS_CODE_ERROR", success(matrix()))
    fleet.says("traces_span_metrics_calls_total", counts("shop", "7", "7", "7", label="service_name"))
    fleet.says("code=~", counts("shop", "1", "1", "1"))
    fleet.says("sum by .service. .*http_requests_total", counts("shop", "10", "10", "10"))
    with source_on(fleet) as (source, _):
        reading = source.availability(["shop"], START, END, HOUR)
    assert (reading.series["shop"].total, reading.series["shop"].bad) == ([10, 10, 10], [1, 1, 1])
    found = {finding.kind: finding for finding in reading.quality.findings["shop"]}
    assert found["families_disagree"].hours == set(reading.series["shop"].at)


def test_long_windows_are_cut_below_eleven_thousand_points() -> None:
    config = load_config().model_copy(update={"order": ("http",)})
    spans: list[tuple[int, int]] = []

    def answer(form: Form) -> Reply:
        first, last, step = (int(form[name][0]) for name in ("start", "end", "step"))
        spans.append((first, last))
        points = [(at, "1") for at in range(first, last + 1, step)]
        if len(points) > 11_000:
            return error(400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries")
        return success(matrix(({"service": "shop"}, points)))

    fleet = http_fleet()
    fleet.says("code=~", success(matrix()))
    fleet.says("http_requests_total", answer)
    with source_on(fleet, config=config) as (source, _):
        bins = source.availability(["shop"], START, START + 30 * 24 * HOUR, 60).series["shop"]
    assert bins.at == list(range(START, START + 30 * 24 * HOUR, 60))
    assert len(spans) == 5


def test_what_is_too_much_for_the_server_is_asked_in_halves() -> None:
    def answer(form: Form) -> Reply:
        first, last = int(form["start"][0]), int(form["end"][0])
        if last > first:
            return error(422, "execution", "query processing would load too many samples into memory")
        return success(matrix(({"service": "shop"}, [(first, "1")])))

    fleet = http_fleet()
    fleet.says("code=~", success(matrix()))
    fleet.says("http_requests_total", answer)
    with source_on(fleet) as (source, _):
        assert source.availability(["shop"], START, END, HOUR).series["shop"].total == [1, 1, 1]


def test_services_are_asked_for_apart_when_one_bin_of_all_is_too_much() -> None:
    def answer(form: Form) -> Reply:
        if "|" in form["query"][0]:
            return error(422, "execution", "too many samples")
        name = "a" if '"a"' in form["query"][0] else "b"
        return success(matrix(({"service": name}, [(START + HOUR, "1")])))

    fleet = http_fleet()
    fleet.says("code=~", success(matrix()))
    fleet.says("http_requests_total", answer)
    with source_on(fleet) as (source, _):
        assert set(source.availability(["a", "b"], START, START + HOUR, HOUR).series) == {"a", "b"}


def test_one_bin_of_one_service_that_is_too_much_is_an_error() -> None:
    fleet = http_fleet()
    fleet.says("http_requests_total", error(422, "execution", "too many samples"))
    with source_on(fleet) as (source, _), pytest.raises(TooMuchData):
        source.availability(["a"], START, START + HOUR, HOUR)


def test_edges_come_from_the_service_graph_and_absent_failures_are_zero() -> None:
    fleet = Fleet("traces_service_graph_request_total")
    fleet.says("_failed_total", success(matrix(({"client": "a", "server": "c"}, [(ENDS[0], "1")]))))
    fleet.says(
        "request_total",
        success(
            matrix(
                ({"client": "a", "server": "b"}, [(ENDS[0], "50")]),
                ({"client": "a", "server": "c"}, [(ENDS[0], "9")]),
                ({"client": "a"}, [(ENDS[0], "3")]),
            )
        ),
    )
    with source_on(fleet) as (source, _):
        edges = source.edges(["a"], START, END, HOUR).series
    assert {edge: (bins.total, bins.bad) for edge, bins in edges.items()} == {
        ("a", "b"): ([50], [0]),
        ("a", "c"): ([9], [1]),
    }


def test_a_source_without_a_service_graph_has_no_edges() -> None:
    with source_on(http_fleet()) as (source, server):
        assert source.edges(["a"], START, END, HOUR).series == {}
        assert server.queries() == []


def test_explaining_a_service_shows_queries_and_hides_personal_data() -> None:
    fleet = http_fleet()
    fleet.says(
        "topk",
        success(
            {
                "resultType": "vector",
                "result": [
                    {
                        "metric": {
                            "service": "169.254.170.2_remote",
                            "instance": "10.0.0.7:80",
                            "code": "200",
                        },
                        "value": [END, "7"],
                    }
                ],
            }
        ),
    )
    fleet.says("code=~", success(matrix()))
    fleet.says("http_requests_total", counts("169.254.170.2_remote", "1", "2", "3"))
    with source_on(fleet) as (source, _):
        found = source.explain("169.254.170.2_remote", START, END, HOUR)
    raw = next(query for query in found.queries if query.purpose == "raw series")
    assert raw.sample == (({"service": "169.254.170.2_remote", "code": "200"}, "7"),)
    assert found.quality.personal_labels["instance"] >= 1
    assert "10.0.0.7" not in str(found)
    assert found.availability.series["169.254.170.2_remote"].total == [1, 2, 3]
    assert {query.purpose for query in found.queries} >= {"raw series", "requests", "failures"}


def test_explaining_tells_an_error_instead_of_raising_it() -> None:
    fleet = http_fleet()
    fleet.says("topk", error(400, "bad_data", "parse error"))
    with source_on(fleet) as (source, _):
        found = source.explain("shop", START, END, HOUR)
    (failed,) = [query for query in found.queries if query.error]
    assert "parse error" in failed.error


def test_looking_serves_the_last_good_answers_and_collecting_never_does() -> None:
    fleet = http_fleet()
    fleet.says("code=~", success(matrix()))
    fleet.says("http_requests_total", counts("shop", "1", "2", "3"))
    shelf = Shelf()
    with source_on(fleet, serve_stale=True, shelf=shelf) as (source, server):
        source.explain("shop", START, END, HOUR)
        server.answering = lambda path, form: Reply(body=b"", status=503)
        source._present.clear()
        found = source.explain("shop", START, END, HOUR)
        assert found.availability.series["shop"].total == [1, 2, 3]
        assert found.quality.age_seconds > 0
        assert any("503" in note for note in found.quality.notes)
        source.questions.serve_stale = False
        with pytest.raises(SourceUnavailable):
            source.availability(["shop"], START, END, HOUR)


def test_checking_names_version_and_families_or_what_is_the_matter() -> None:
    fleet = http_fleet()
    with source_on(fleet) as (source, server):
        status = source.check()
        assert (status.is_up, status.version, status.families) == (True, "3.1.0", ("http", "http-job"))
        server.answering = lambda path, form: Reply(body=b"", status=401)
        status = source.check()
        assert not status.is_up
        assert "PROMETHEUS_TOKEN" in status.detail


def test_a_server_without_build_information_is_still_checked() -> None:
    fleet = http_fleet()

    def answer(path: str, form: Form) -> Reply:
        if path.endswith("buildinfo"):
            return Reply(body=b"404 page not found", status=404)
        return fleet(path, form)

    with source_on(fleet) as (source, server):
        server.answering = answer
        assert source.check().is_up


def test_a_matrix_that_is_none_is_a_bad_answer_not_a_crash() -> None:
    fleet = http_fleet()
    fleet.says("http_requests_total", success({"result": [{"metric": {}, "values": [["x"]]}]}))
    with source_on(fleet) as (source, _), pytest.raises(Exception, match="neither a vector nor a matrix"):
        source.availability(["shop"], START, END, HOUR)


def test_a_query_the_server_refuses_is_raised_with_its_reason() -> None:
    fleet = http_fleet()
    fleet.says("http_requests_total", error(400, "bad_data", "unknown function"))
    with source_on(fleet) as (source, _), pytest.raises(SourceRefused, match="unknown function"):
        source.availability(["shop"], START, END, HOUR)
