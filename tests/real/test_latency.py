"""Latencies read from a real Prometheus whose series differ in bounds, spellings, units and lives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

from apps.core.resilience import CircuitBreaker
from apps.engine.percentiles import percentile
from apps.telemetry.clients.base import BucketBins, LatencyReading
from apps.telemetry.clients.prometheus.families import TelemetryConfig, load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.source import PrometheusSource
from tests.real.prometheus import Metric
from tests.real.prometheus3 import EVERY_PROMETHEUS

HOUR = 3600
STEP = 300
STEPS_PER_HOUR = HOUR // STEP
HOURS = 30
START = 1_760_000_400 // HOUR * HOUR
END = START + HOURS * HOUR
BOUNDS_MS = [5.0, 10.0, 50.0, 100.0, 250.0, 1000.0, 2500.0, 10_000.0]

type Labels = dict[str, str]
type Samples = list[tuple[Labels, float, float]]


@dataclass(slots=True)
class Pod:
    """A pod that sees the same latencies in each step of its life.

    Parameters:
        bounds: each as it is spelled, in seconds or milliseconds.
        latencies: in the unit of the bounds.
        born, ends: hours after the start.
    """

    bounds: Sequence[str]
    latencies: Sequence[float]
    born: float = 0.0
    ends: float = HOURS
    labels: Labels = field(default_factory=dict)

    def samples(self, **labels: str) -> Samples:
        rows: Samples = []
        first, last = (int(hours * STEPS_PER_HOUR) for hours in (self.born, self.ends))
        for le in [*self.bounds, "+Inf"]:
            within = sum(latency <= float(le) for latency in self.latencies)
            rows += [
                (
                    {**labels, **self.labels, "le": le},
                    float(START + step * STEP),
                    float((step - first) * within),
                )
                for step in range(first, last + 1)
            ]
        return rows


def spread(spans: Sequence[tuple[int, float]]) -> list[float]:
    """So many requests of so many seconds."""
    return [seconds for count, seconds in spans for _ in range(count)]


SKEW = [
    Pod(["0.5", "1.0", "2.0", "5.0"], spread([(450, 0.4), (414, 0.9), (27, 1.5), (8, 3.0), (1, 9.0)])),
    Pod(["0.5", "5.0"], spread([(90, 0.4), (9, 3.0), (1, 9.0)])),
]
EVEN = [
    Pod(["0.5", "1.0", "5.0"], spread([(250, 0.4), (230, 0.9), (19, 3.0), (1, 9.0)])),
    Pod(["0.5", "5.0"], spread([(450, 0.4), (49, 3.0), (1, 9.0)])),
]
#: A rollout in the middle of the eleventh hour brings other bounds.
ROLLOUT = [
    Pod(["0.1", "0.5", "1"], spread([(50, 0.05), (40, 0.3), (10, 0.9)]), ends=10.5),
    Pod(["0.1", "0.25", "1"], spread([(50, 0.05), (40, 0.3), (10, 0.9)]), born=10.5),
]
#: The server that scrapes it is upgraded, and spells whole numbers in another way from then on.
RESPELLED = [
    Pod(["0.5", "1"], spread([(50, 0.4), (40, 0.9), (10, 3.0)]), ends=10.5),
    Pod(["0.5", "1.0"], spread([(50, 0.4), (40, 0.9), (10, 3.0)]), born=10.5),
]


def made_up(seed: int) -> list[Pod]:
    """Pods with bounds, spellings and lives of their own."""
    random = Random(seed)
    pods = []
    for _ in range(random.randint(1, 5)):
        bounds = sorted(random.sample(BOUNDS_MS, random.randint(0, len(BOUNDS_MS))))
        spelling = random.choice(["{:g}", "{!r}", "{:e}"])
        born = random.choice([0, 0, 0, random.randrange(HOURS * STEPS_PER_HOUR - 24) / STEPS_PER_HOUR])
        pods.append(
            Pod(
                [spelling.format(bound / 1000) for bound in bounds],
                [random.lognormvariate(-2, 2) for _ in range(random.randint(1, 30))],
                born=born,
                ends=random.choice([HOURS, HOURS, born + random.randint(2, 20) / STEPS_PER_HOUR]),
            )
        )
    return pods


MADE_UP = {f"made-up-{seed}": made_up(seed) for seed in range(40)}


def fleet() -> Iterator[Metric]:
    seconds: Samples = []
    services = {"skew": SKEW, "even": EVEN, "rollout": ROLLOUT, **MADE_UP}
    for service, pods in services.items():
        for number, pod in enumerate(pods):
            seconds += pod.samples(service=service, pod=f"pod-{number}")
    for le in ("0.5", "1", "1.0", "+Inf"):
        for pod in RESPELLED:
            seconds += [row for row in pod.samples(service="respelled", pod="one") if row[0]["le"] == le]
    sick = Pod(["0.5", "1.0"], [0.4] * 10).samples(service="sick", pod="a")
    seconds += sick
    seconds += [({**labels, "pod": "b"}, at, math.nan) for labels, at, _ in sick]
    yield Metric("http_request_duration_seconds_bucket", "unknown", seconds)
    # What a summary of the same name answers with is no native histogram.
    summary = [({"service": "skew", "quantile": "0.5"}, float(at), 0.4) for at in range(START, END, STEP)]
    yield Metric("http_request_duration_seconds", "unknown", summary)
    yield Metric("http_requests_total", "counter", [({"service": "skew"}, float(START), 0.0)])
    yield Metric(
        "traces_span_metrics_calls_total", "counter", [({"service_name": "span"}, float(START), 0.0)]
    )
    kind = {"span_kind": "SPAN_KIND_SERVER"}
    spans = Pod(["0.1", "0.5"], [0.05] * 10, labels=kind).samples(service_name="span")
    spans += Pod(["0.1"], [0.05], labels=kind).samples(service_name="skew")
    yield Metric("traces_span_metrics_duration_seconds_bucket", "unknown", spans)
    millis = Pod(["100", "500"], [50] * 10, labels=kind).samples(service_name="span-ms")
    yield Metric("traces_span_metrics_duration_milliseconds_bucket", "unknown", millis)


@pytest.fixture(scope="module", params=EVERY_PROMETHEUS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with request.param(tmp_path_factory.mktemp("prometheus"), fleet()) as address:
        yield address


def native_too() -> TelemetryConfig:
    """The presets, with the native form of the HTTP histogram."""
    config = load_config()
    document = config.model_dump()
    native = {"metric": "http_request_duration_seconds", "unit": "s", "native": True}
    for name in ("http", "http-job"):
        family = document["families"][name]
        family["buckets"] = [*family["buckets"], native]
    return TelemetryConfig.model_validate(document)


@pytest.fixture(scope="module", params=["classic", "native, too"])
def config(request: pytest.FixtureRequest) -> TelemetryConfig:
    return load_config() if request.param == "classic" else native_too()


@pytest.fixture(scope="module")
def reading(url: str, config: TelemetryConfig) -> Iterator[LatencyReading]:
    http = PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url))
    source = PrometheusSource(http, config, now=lambda: float(END))
    services = ["skew", "even", "rollout", "respelled", "sick", "span", "span-ms", *MADE_UP]
    yield source.latency(services, START, END, HOUR)
    source.close()


def p95(bins: BucketBins) -> float:
    counts = np.sum([np.array(counts) for counts in bins.cumulative], axis=0, keepdims=True)
    return float(percentile(np.array(bins.bounds_ms[0]), counts, 0.95)[0])


def findings(reading: LatencyReading, service: str) -> dict[str, set[int]]:
    return {one.kind: one.hours for one in reading.quality.findings.get(service, [])}


def test_a_slow_percentile_is_not_made_up_by_bounds_that_some_pods_lack(reading: LatencyReading) -> None:
    bins = reading.buckets["skew"]
    assert bins.bounds_ms == [(500, 1000, 2000, 5000, math.inf)] * HOURS
    assert p95(bins) <= 1000
    assert bins.cumulative[0] == [12 * count for count in (540, 954, 981, 998, 1000)]
    assert findings(reading, "skew") == {"bounds_shared": set(range(START, END, HOUR))}


def test_histograms_whose_sums_would_fall_are_kept(reading: LatencyReading) -> None:
    bins = reading.buckets["even"]
    assert bins.cumulative == [[12 * count for count in (700, 930, 998, 1000)]] * HOURS
    assert reading.quality.implausible_bins["even"] == 0


def test_a_rollout_that_changes_bounds_costs_no_hour(reading: LatencyReading) -> None:
    bins = reading.buckets["rollout"]
    # Both halves of the hour are stretched by half the time between two samples.
    assert [counts[-1] for counts in bins.cumulative] == pytest.approx([1200.0] * HOURS, rel=0.05)
    assert bins.bounds_ms[9:12] == [
        (100, 500, 1000, math.inf),
        (100, 250, 500, 1000, math.inf),
        (100, 250, 1000, math.inf),
    ]
    assert bins.cumulative[10] == pytest.approx([625, 625, 875, 1250, 1250], rel=0.05)
    assert findings(reading, "rollout") == {"bounds_shared": {START + 10 * HOUR}}


def test_a_bound_that_is_spelled_anew_stays_one_bucket(reading: LatencyReading) -> None:
    bins = reading.buckets["respelled"]
    assert bins.bounds_ms == [(500, 1000, math.inf)] * HOURS
    assert [counts[1] for counts in bins.cumulative] == pytest.approx([1080.0] * HOURS, rel=0.05)
    assert findings(reading, "respelled") == {}


def test_a_pod_that_counts_no_numbers_does_not_take_the_others_with_it(reading: LatencyReading) -> None:
    assert reading.buckets["sick"].cumulative == [[120, 120, 120]] * HOURS
    assert findings(reading, "sick") == {"histograms_impossible": set(range(START, END, HOUR))}


def test_each_service_is_read_from_the_metric_that_counts_it(reading: LatencyReading) -> None:
    for service in ("span", "span-ms"):
        assert set(reading.buckets[service].bounds_ms) == {(100, 500, math.inf)}


@pytest.mark.parametrize("service", MADE_UP)
def test_of_made_up_pods_counts_are_true_where_all_have_a_bound_and_never_too_high(
    reading: LatencyReading, service: str
) -> None:
    pods = MADE_UP[service]
    read = 0
    bins = reading.buckets.get(service, BucketBins(HOUR))
    for at, bounds, cumulative in zip(bins.at, bins.bounds_ms, bins.cumulative, strict=True):
        hour = (at - START) / HOUR
        alive = [pod for pod in pods if pod.born < hour + 1 and pod.ends > hour]
        whole = all(pod.born <= hour and pod.ends >= hour + 1 for pod in alive)
        assert cumulative == sorted(cumulative)
        if not whole:
            continue  # what extrapolation makes of a part of an hour is told elsewhere
        read += 1
        for bound, count in zip(bounds, cumulative, strict=True):
            truth = sum(sum(x * 1000 <= bound for x in pod.latencies) for pod in alive) * STEPS_PER_HOUR
            shared = all(any(float(le) * 1000 == pytest.approx(bound) for le in pod.bounds) for pod in alive)
            assert count <= truth + 1e-3
            if shared or bound == math.inf:
                assert count == pytest.approx(truth, abs=1e-3)
    lived = [pod for pod in pods if pod.ends - pod.born >= 2]
    assert read or not lived
    assert "histograms_impossible" not in findings(reading, service)
