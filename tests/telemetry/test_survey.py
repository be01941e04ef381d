"""Looking around on a server: what is found, and that it is no burden."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.resilience import CircuitBreaker
from apps.telemetry.clients.errors import SourceError
from apps.telemetry.clients.prometheus.families import Selector, load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.surveying import Limits, Surveyor
from apps.telemetry.proposals.documents import Proposal, Survey
from apps.telemetry.proposals.proposing import MAX_LOOKED_AT, Proposer
from tests.telemetry.large_server import LargeServer
from tests.telemetry.prometheus_server import Form, Reply, error, matrix, serving, success

NOW = 1_760_000_400

CONFIG = load_config()
STATUSES = {"service": [f"service-{number}" for number in range(40)], "code": ["200", "404", "500"]}


@pytest.fixture(autouse=True)
def _no_waits_between_tries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@contextmanager
def surveyor_of(server: LargeServer, limits: Limits | None = None) -> Iterator[Surveyor]:
    with serving(server) as running:
        http = PrometheusHttp(running.url, CircuitBreaker(running.url), LastGood(None, running.url))
        with http:
            yield Surveyor(http, limits or Limits())


def survey(server: LargeServer, limits: Limits | None = None) -> Survey:
    with surveyor_of(server, limits) as surveyor:
        return Proposer(surveyor, CONFIG).survey()


def proposal(found: Survey, metric: str) -> Proposal:
    return next(one for one in found.proposals if one.family.counted.metric == metric)


def large() -> LargeServer:
    """Ten thousand metrics and more than a million series, of which one metric has 300,000."""
    metrics = {f"machine_part_{number}_bytes": 60 for number in range(6_000)}
    metrics |= {f"team{number}_http_requests_total": 150 for number in range(3_900)}
    metrics |= {"mesh_http_requests_total": 300_000, "http_requests_total": 40_000}
    metrics |= {f"extra_{number}": 30 for number in range(98)}
    labels = {name: STATUSES for name in metrics if name.endswith("requests_total")}
    assert len(metrics) == 10_000
    assert sum(metrics.values()) > 1_000_000
    return LargeServer(metrics, labels)


def test_a_large_server_is_asked_little_and_for_little() -> None:
    server = large()
    found = survey(server)
    assert found.metrics == 10_000
    assert sum(server.asked.values()) <= Limits().questions
    assert sum(server.asked.values()) <= 3 + 5 * MAX_LOOKED_AT
    assert set(server.asked) <= {"label/__name__/values", "metadata", "labels", "query"}
    assert server.most_samples_at_once <= 2_500_000
    assert server.largest_answer <= Limits().groups


def test_what_was_left_out_of_a_large_server_is_said() -> None:
    found = survey(large())
    assert "300,000 series" in found.not_looked_at["mesh_http_requests_total"]
    assert found.left_out["less likely than the ones looked at"] > 3_800
    assert proposal(found, "http_requests_total").preset


def test_the_window_shrinks_as_series_grow() -> None:
    with surveyor_of(LargeServer({})) as surveyor:
        windows = [surveyor.window_for(series) for series in (1, 300, 5_000, 50_000, 1_000_000)]
    assert windows == sorted(windows, reverse=True)
    assert windows[0] == 86_400
    assert windows[-1] == 300


def test_a_server_that_asks_to_be_left_alone_is_left_alone() -> None:
    server = large()
    server.refuse = {"count by": error(429, "too_many_requests", "slow down")}
    found = survey(server)
    assert "left alone" in found.not_looked_at["everything after"]
    assert server.asked["query"] <= 6  # the count, and the three tries at the question that was refused


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_found_before_it_was_refused_is_kept(status: int) -> None:
    server = LargeServer(
        {"http_requests_total": 100, "shop_requests_total": 100},
        {"http_requests_total": STATUSES, "shop_requests_total": STATUSES},
        refuse={"shop_requests_total": error(status, "unavailable", "no")},
    )
    found = survey(server)
    assert [one.family.counted.metric for one in found.proposals] == ["http_requests_total"]
    assert found.not_looked_at


def test_a_question_that_is_too_much_costs_that_metric_alone() -> None:
    server = LargeServer(
        {"a_requests_total": 100, "b_requests_total": 100},
        {"a_requests_total": STATUSES, "b_requests_total": STATUSES},
        refuse={"a_requests_total": error(422, "execution", "query processing would load too many samples")},
    )
    found = survey(server)
    assert [one.family.counted.metric for one in found.proposals] == ["b_requests_total"]
    assert "too many samples" in found.not_looked_at["a_requests_total"]


def test_the_budget_of_questions_holds() -> None:
    server = large()
    found = survey(server, Limits(questions=20))
    assert sum(server.asked.values()) == found.questions == 20
    assert "20 questions" in found.not_looked_at["everything after"]


def test_a_server_without_metadata_is_read_by_names() -> None:
    server = LargeServer(
        {"shop_requests_total": 100}, {"shop_requests_total": STATUSES}, knows_metadata=False
    )
    found = survey(server)
    assert proposal(found, "shop_requests_total").family.service_label == "service"
    assert "types and units of metrics" in found.not_looked_at


def test_one_that_does_not_even_tell_names_is_an_error() -> None:
    with pytest.raises(SourceError, match="the server"):
        survey(LargeServer({}, refuse={"values": Reply(body=b"the server is gone", status=500)}))


NAMES = st.sampled_from(
    [
        "orders",
        "http",
        "requests",
        "request",
        "duration",
        "seconds",
        "errors",
        "cache",
        "bytes",
        "total",
        "go",
        "rate5m",
    ]
)
METRICS = st.lists(NAMES, min_size=1, max_size=4).map("_".join)
LABELS = st.dictionaries(
    st.sampled_from(
        [
            "service",
            "app",
            "job",
            "code",
            "status",
            "outcome",
            "env",
            "cluster",
            "replica",
            "path",
            "instance",
        ]
    ),
    st.lists(st.sampled_from(["200", "500", "a", "b", "prod", "10.1.2.3", "", "SUCCESS"]), max_size=4),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(METRICS, st.tuples(st.integers(0, 200_000), LABELS), max_size=8))
def test_whatever_metrics_there_are_it_stays_within_bounds_and_proposes_what_can_be_read(
    metrics: dict[str, tuple[int, dict[str, list[str]]]],
) -> None:
    server = LargeServer(
        {name: series for name, (series, _) in metrics.items()},
        {name: labels for name, (_, labels) in metrics.items()},
    )
    found = survey(server)
    assert sum(server.asked.values()) <= 3 + 5 * len(metrics)
    names = [one.name for one in found.proposals]
    assert len(names) == len(set(names))
    for one in found.proposals:
        assert one.family.service_label in metrics[one.family.counted.metric][1]
        assert 0 <= (one.evidence.failure_share or 0) <= 1
    assert Survey.model_validate(found.model_dump(mode="json")) == found


def test_a_server_whose_newest_samples_are_some_minutes_old_is_looked_at_as_of_then() -> None:
    """A scrape that has stopped, or a recording: the metrics are there, and nothing has a value now."""
    asked: list[int] = []

    def answer(path: str, form: Form) -> Reply:
        if path.endswith("/query_range"):
            return success(matrix(({}, [(NOW - 1900, "4"), (NOW - 1780, "4")])))
        asked.append(int(form["time"][0]))
        value = [{"metric": {}, "value": [NOW, "4"]}] if asked[-1] <= NOW - 1780 else []
        return success({"resultType": "vector", "result": value})

    with serving(answer) as server:
        http = PrometheusHttp(server.url, CircuitBreaker(server.url), LastGood(None, server.url))
        surveyor = Surveyor(http, now=float(NOW))
        assert surveyor.series_of(Selector(metric="calls_total")) == 4
        http.close()
    assert asked == [NOW, NOW - 1780]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_ROWS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"metric": _JSON, "value": _JSON | st.tuples(st.just(1), _JSON), "values": _JSON}
    ),
    max_size=3,
)


@settings(max_examples=50, deadline=None)
@given(st.builds(lambda rows: {"resultType": "vector", "result": rows}, _ROWS) | _JSON, _JSON)
def test_answers_of_any_shape_end_no_survey(vector: object, other: object) -> None:
    def reply(path: str, form: Form) -> Reply:
        if path.endswith("__name__/values"):
            return success(["http_requests_total", "shop_requests_total"])
        return success(vector if "query" in path else other)

    with serving(reply) as running:
        http = PrometheusHttp(running.url, CircuitBreaker(running.url), LastGood(None, running.url))
        with http:
            found = Proposer(Surveyor(http, Limits()), CONFIG).survey()
    assert found.metrics == 2
