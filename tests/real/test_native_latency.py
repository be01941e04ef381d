"""Latencies read from native histograms of a real Prometheus 3, alone and beside their classic form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
import pytest

from apps.core.resilience import CircuitBreaker
from apps.engine.percentiles import percentile
from apps.telemetry.clients.base import LatencyReading
from apps.telemetry.clients.latencies.native_histograms import GRID_MS
from apps.telemetry.clients.prometheus.families import TelemetryConfig, load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.source import PrometheusSource
from tests.real.prometheus import Metric
from tests.real.prometheus3 import CustomBuckets, Exponential, NativeHistogram, running_prometheus3

HOUR = 3600
STEP = 300
STEPS_PER_HOUR = HOUR // STEP
HOURS = 3
START = 1_760_000_400 // HOUR * HOUR
END = START + HOURS * HOUR
NAME = "http_request_duration_seconds"
BOUNDS = (0.1, 0.3, 1.0)

type Natives = list[tuple[dict[str, str], float, Exponential | CustomBuckets | None]]
type Rows = list[tuple[dict[str, str], float, float]]


def native(service: str, pod: str, latencies: Sequence[float], schema: int, *, born: int = 0) -> Natives:
    """A series that counts the same latencies (s) in each step from ``born`` on."""
    numbers: dict[int, int] = {}
    for latency in latencies:
        number = math.ceil(round(math.log2(latency) * 2.0**schema, 9))
        numbers[number] = numbers.get(number, 0) + 1
    rows: Natives = []
    for step in range(born, HOURS * STEPS_PER_HOUR + 1):
        counted = {number: count * (step - born) for number, count in numbers.items()}
        rows.append(
            (
                {"service": service, "pod": pod},
                float(START + step * STEP),
                Exponential(schema, {n: c for n, c in counted.items() if c}, sum(latencies) * (step - born)),
            )
        )
    return rows


def custom(service: str, pod: str, latencies: Sequence[float], bounds: Sequence[float]) -> Natives:
    places = np.searchsorted(bounds, latencies, side="left")
    counts = [int((places == place).sum()) for place in range(len(bounds) + 1)]
    return [
        (
            {"service": service, "pod": pod},
            float(START + step * STEP),
            CustomBuckets(bounds, [count * step for count in counts], sum(latencies) * step),
        )
        for step in range(HOURS * STEPS_PER_HOUR + 1)
    ]


def classic(service: str, pod: str, latencies: Sequence[float]) -> Rows:
    rows: Rows = []
    for le in ("0.1", "0.3", "1.0", "+Inf"):
        within = sum(latency <= float(le) for latency in latencies)
        rows += [
            ({"service": service, "pod": pod, "le": le}, float(START + step * STEP), float(step * within))
            for step in range(HOURS * STEPS_PER_HOUR + 1)
        ]
    return rows


FEW = [0.05] * 60 + [0.2] * 30 + [0.9] * 9 + [4.0]


def made_up(seed: int) -> list[tuple[int, list[float]]]:
    """Pods with a schema and latencies of their own."""
    random = Random(seed)
    middle = random.uniform(-5, 1)
    return [
        (random.randint(0, 8), [random.lognormvariate(middle, 1.0) for _ in range(random.randint(1, 60))])
        for _ in range(random.randint(1, 4))
    ]


MADE_UP = {f"made-up-{seed}": made_up(seed) for seed in range(30)}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    natives = [
        *native("native", "a", FEW, 3),
        *native("both", "a", FEW, 4),
        *native("half", "a", FEW, 4),
        *native("switched-on", "a", FEW, 4, born=STEPS_PER_HOUR + STEPS_PER_HOUR // 2),
        *custom("custom", "a", FEW, BOUNDS),
        *custom("custom", "b", FEW, BOUNDS),
        *native("idle", "a", [], 4),
        *native("kinds", "a", FEW, 4),
        *custom("kinds", "b", FEW, BOUNDS),
    ]
    for service, pods in MADE_UP.items():
        for number, (schema, latencies) in enumerate(pods):
            natives += native(service, f"pod-{number}", latencies, schema)
    classics = [
        *classic("both", "a", FEW),
        *classic("half", "b", FEW),
        *classic("switched-on", "a", FEW),
        *classic("classic", "a", FEW),
    ]
    metrics = [
        Metric("http_requests_total", "counter", [({"service": "native"}, float(START), 0.0)]),
        Metric(f"{NAME}_bucket", "unknown", classics),
    ]
    folder = tmp_path_factory.mktemp("prometheus")
    with running_prometheus3(folder, metrics, [NativeHistogram(NAME, natives)]) as address:
        yield address


@pytest.fixture(scope="module")
def reading(url: str) -> Iterator[LatencyReading]:
    config = load_config()
    family = {
        "service_label": "service",
        "total": {"metric": "http_requests_total"},
        "buckets": [
            {"metric": f"{NAME}_bucket", "unit": "s"},
            {"metric": NAME, "unit": "s", "native": True},
        ],
    }
    document = {**config.model_dump(), "order": ["http"], "families": {"http": family}}
    http = PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url))
    source = PrometheusSource(http, TelemetryConfig.model_validate(document), now=lambda: float(END))
    services = ["native", "both", "half", "switched-on", "custom", "classic", "idle", "kinds", *MADE_UP]
    yield source.latency(services, START, END, HOUR)
    source.close()


def hour(reading: LatencyReading, service: str, number: int = 0) -> dict[float, float]:
    bins = reading.buckets[service]
    assert bins.at == list(range(START, END, HOUR))
    return dict(zip(bins.bounds_ms[number], bins.cumulative[number], strict=True))


def test_native_histograms_are_read_at_the_bounds_of_the_grid(reading: LatencyReading) -> None:
    found = hour(reading, "native")
    assert list(found) == [*GRID_MS, math.inf]
    assert (found[62.5], found[250], found[1000], found[8000], found[math.inf]) == (
        720,
        1080,
        1188,
        1200,
        1200,
    )
    assert set(reading.quality.findings) == {"half", "kinds"}


def test_a_series_in_both_forms_counts_once(reading: LatencyReading) -> None:
    assert hour(reading, "both")[math.inf] == 1200
    assert list(hour(reading, "both")) == [*GRID_MS, math.inf]


def test_series_of_one_form_each_are_added(reading: LatencyReading) -> None:
    found = hour(reading, "half")
    assert found[math.inf] == 2400
    assert found[1000] == 2 * 1188


def test_a_series_is_taken_in_its_classic_form_until_the_native_one_is_whole(reading: LatencyReading) -> None:
    assert [counts[-1] for counts in reading.buckets["switched-on"].cumulative] == [1200] * HOURS
    assert [len(bounds) for bounds in reading.buckets["switched-on"].bounds_ms] == [4, 4, len(GRID_MS) + 1]


def test_custom_bounds_are_kept(reading: LatencyReading) -> None:
    found = hour(reading, "custom")
    assert (found[100], found[300], found[1000], found[math.inf]) == (1440, 2160, 2376, 2400)


def test_exponential_and_custom_buckets_are_put_together_though_the_source_does_not(
    reading: LatencyReading,
) -> None:
    found = hour(reading, "kinds")
    assert (found[1000], found[math.inf]) == (2376, 2400)
    assert found[62.5] == pytest.approx(720 + 720 * 0.625)
    assert reading.partial["kinds"] == set(range(START, END, HOUR))


def test_the_classic_form_alone_stays_as_it_is(reading: LatencyReading) -> None:
    assert hour(reading, "classic") == {100: 720, 300: 1080, 1000: 1188, math.inf: 1200}


def test_hours_without_requests_tell_nothing(reading: LatencyReading) -> None:
    assert "idle" not in reading.buckets


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("service", MADE_UP)
def test_percentiles_are_as_near_as_is_documented(
    reading: LatencyReading, service: str, share: float
) -> None:
    latencies = sorted(
        latency * 1000 for _, some in MADE_UP[service] for latency in some for _ in range(STEPS_PER_HOUR)
    )
    truth = latencies[math.ceil(round(share * len(latencies), 9)) - 1]
    coarsest = min(schema for schema, _ in MADE_UP[service])
    allowed = 2.0 ** (2.0 ** -min(coarsest, 2)) * (1 + 1e-6)
    found = hour(reading, service)
    counts = np.array(list(found.values()))
    assert truth / allowed <= float(percentile(np.array(list(found)), counts, share)[0]) <= truth * allowed
