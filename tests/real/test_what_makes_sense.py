"""A real Prometheus with services that have something wrong with them, made up by seed: each is told for what it is."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

import pytest

from apps.core.resilience import CircuitBreaker
from apps.telemetry.clients.base import AvailabilityReading, Finding
from apps.telemetry.clients.prometheus.families import MetricFamily, Selector, load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.source import PrometheusSource
from tests.real.prometheus import Metric, running_prometheus
from tests.telemetry.test_failures import SPELLINGS

HOUR, STEP, HOURS = 3600, 300, 72
PER_HOUR = HOUR // STEP
SAMPLES = HOURS * PER_HOUR + 1
START = 1_760_000_400 // HOUR * HOUR
END = START + HOURS * HOUR
SEEDS = (1, 2, 3)

type Values = list[float | None]


@dataclass(slots=True)
class World:
    """Series of a server, by metric, and what is true of its services."""

    source: random.Random
    series: dict[str, list[tuple[dict[str, str], Values]]] = field(default_factory=dict)

    def add(self, metric: str, labels: dict[str, str], values: Values) -> None:
        self.series.setdefault(metric, []).append((labels, values))

    def requests(self, service: str, values: Values, **labels: str) -> None:
        self.add("http_requests_total", {"service": service, **labels}, values)

    def metrics(self) -> Iterator[Metric]:
        for metric, series in self.series.items():
            samples = [
                (labels, float(START + place * STEP), value)
                for labels, values in series
                for place, value in enumerate(values)
                if value is not None
            ]
            yield Metric(metric, "unknown", samples)

    def rate(self) -> float:
        return float(self.source.randint(5, 500))


def counter(rate: float, start: float = 0.0, samples: int = SAMPLES) -> Values:
    return [start + rate * place for place in range(samples)]


def told_by_labels(world: World) -> None:
    for number, (label, good, bad) in enumerate(SPELLINGS):
        if "." in label:
            continue
        rate = world.rate()
        for value in good:
            world.requests(
                f"told-{number}", counter(9 * rate / len(good)), **({label: value} if value else {})
            )
        for value in bad:
            world.requests(f"told-{number}", counter(rate / len(bad)), **{label: value})


def told_by_nothing(world: World) -> None:
    world.requests("untold", counter(world.rate()), method="GET")


def told_in_part(world: World) -> None:
    rate = world.rate()
    world.requests("in-part", counter(7 * rate), code="200", pod="a")
    world.requests("in-part", counter(rate), code="500", pod="a")
    world.requests("in-part", counter(2 * rate), pod="b")
    # Each series has one of the labels, or an error alone.
    world.requests("in-turn", counter(rate), code="200", pod="a")
    world.requests("in-turn", counter(rate), status="2xx", pod="b")
    world.requests("errors-alone", counter(9 * rate), method="GET")
    world.requests("errors-alone", counter(rate), method="GET", error="timeout")


def several_writers(world: World) -> None:
    for number in range(2, 5):
        rate = world.rate()
        levels = [world.source.uniform(1e3, 1e6) * rate for _ in range(number)]
        values: Values = [levels[place % number] + rate * place for place in range(SAMPLES)]
        world.requests(f"writers-{number}", values, code="200")


def dips(world: World) -> None:
    rate = world.rate()
    values = counter(rate, start=world.source.uniform(1e4, 1e6) * rate)
    place = world.source.randrange(2 * PER_HOUR, SAMPLES - 2 * PER_HOUR)
    values[place] = (values[place] or 0.0) - world.source.uniform(1.5, 3) * rate
    world.requests("dip", values, code="200")


def dips_all_the_time(world: World) -> None:
    rate = world.rate()
    values = counter(rate, start=world.source.uniform(1e4, 1e6) * rate)
    for place in range(7, SAMPLES, PER_HOUR):
        values[place] = (values[place] or 0.0) - 2 * rate
    world.requests("dips", values, code="200")


def restarts(world: World) -> None:
    rate = world.rate()
    at = world.source.randrange(PER_HOUR, SAMPLES - PER_HOUR)
    values = counter(rate, start=1e6)
    values[at:] = counter(rate, start=rate, samples=SAMPLES - at)
    world.requests("restart", values, code="200")


def a_crash_loop(world: World) -> None:
    rate = world.rate()
    looping = range(30 * PER_HOUR, 36 * PER_HOUR)
    values: Values = []
    for place in range(SAMPLES):
        last = values[-1] or 0.0 if values else 0.0
        begins = place in looping and place % 5 == 0
        values.append(rate if begins else last + rate)
    world.requests("crash-loop", values, code="500")


def born_above_zero(world: World) -> None:
    life = HOURS * PER_HOUR // 6
    for pod in range(6):
        first = pod * life
        before, after = [None] * first, [None] * (SAMPLES - first - life)
        burst = world.source.randint(1, life - 2)
        world.requests("born", [*before, *counter(10.0, 10.0, life), *after], code="200", pod=str(pod))
        errors: Values = [*before, *[None] * burst, *[5.0] * (life - burst), *after]
        world.requests("born", errors, code="500", pod=str(pod))


def collectors(world: World) -> None:
    rate = world.rate()
    for replica in ("a", "b"):
        world.requests("pair", counter(rate), code="200", prometheus_replica=replica)
        world.requests("pair", counter(rate / 4), code="500", prometheus_replica=replica)
        # Replicas of the service itself, which happen to be told by a label of that name.
        start = world.source.uniform(1, 50) * 1000 * rate
        world.requests("scaled", counter(rate, start), code="200", replica=replica)
        # Begun together, with the same load but for chance.
        load = [world.source.gauss(100 * rate, (100 * rate) ** 0.5) for _ in range(SAMPLES)]
        world.requests("alike", list(accumulate(load)), code="200", replica=replica)
    half = SAMPLES // 2
    late: Values = [*[None] * half, *counter(rate, rate * half, SAMPLES - half)]
    world.requests("late", counter(rate), code="200", replica="a")
    world.requests("late", late, code="200", replica="b")


def environments(world: World) -> None:
    for label in ("env", "namespace", "deployment_environment", "cluster"):
        rate = world.rate()
        world.requests(f"two-{label}", counter(10 * rate), code="200", **{label: "prod"})
        world.requests(f"two-{label}", counter(rate), code="500", **{label: "staging"})
    world.requests("two-regions", counter(5), code="200", region="eu-1")
    world.requests("two-regions", counter(5), code="200", region="us-1")


def not_a_number(world: World) -> None:
    half = SAMPLES // 2
    for pod in ("a", "b"):
        world.requests("nan-pod", counter(10.0), code="200", pod=pod)
    world.requests(
        "nan-pod", [*counter(10.0, samples=half), *[math.nan] * (SAMPLES - half)], code="200", pod="c"
    )
    world.requests("all-nan", [*counter(10.0, samples=half), *[math.nan] * (SAMPLES - half)], code="200")


def a_jump(world: World) -> None:
    rate = world.rate()
    values = counter(rate)
    place = world.source.randrange(2 * PER_HOUR, SAMPLES - 2 * PER_HOUR)
    world.requests(
        "jump", [(value or 0.0) + (place <= at) * rate * 1e6 for at, value in enumerate(values)], code="200"
    )


def sampled_spans(world: World) -> None:
    rate = 100 * world.rate()
    world.requests("sampled", counter(rate), code="200")
    world.requests("sampled", counter(rate / 100), code="500")
    span = {"service_name": "sampled", "span_kind": "SPAN_KIND_SERVER", "status_code": "STATUS_CODE_UNSET"}
    first = SAMPLES // 2
    spans = [*[None] * first, *counter(rate / 100, samples=SAMPLES - first)]
    world.add("traces_span_metrics_calls_total", span, spans)


KINDS = (
    told_by_labels, told_by_nothing, told_in_part, several_writers, dips, dips_all_the_time, restarts, a_crash_loop,
    born_above_zero, collectors, environments, not_a_number, a_jump, sampled_spans,
)  # fmt: skip


@dataclass(slots=True)
class Told:
    """What was read of the world."""

    reading: AvailabilityReading

    def sums(self, service: str) -> tuple[float, float]:
        bins = self.reading.series[service]
        return sum(bins.total), sum(bins.bad)

    def share(self, service: str) -> float:
        total, bad = self.sums(service)
        return bad / total

    def findings(self, service: str) -> dict[str, Finding]:
        return {one.kind: one for one in self.reading.quality.findings.get(service, [])}

    def left_out(self, service: str) -> int:
        return len(self.reading.series[service].implausible)


@pytest.fixture(scope="module", params=SEEDS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    world = World(random.Random(request.param))
    for kind in KINDS:
        kind(world)
    services = sorted({labels["service"] for labels, _ in world.series["http_requests_total"]})
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), world.metrics()) as url:
        http = PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url))
        source = PrometheusSource(http, load_config(), now=lambda: float(END))
        yield Told(source.availability(services, START, END, HOUR))
        source.close()


def test_failures_are_told_by_whatever_label_the_series_have(told: Told) -> None:
    for number, (label, _, bad) in enumerate(SPELLINGS):
        if "." in label:
            continue
        assert told.share(f"told-{number}") == pytest.approx(0.1, rel=1e-3), (label, bad)
        assert "failures_unseen" not in told.findings(f"told-{number}")


def test_failures_that_nothing_tells_are_a_question(told: Told) -> None:
    assert told.findings("untold")["failures_unseen"].hours == set(told.reading.series["untold"].at)
    assert told.sums("untold")[1] == 0


def test_requests_of_which_no_failure_can_be_told_are_said(told: Told) -> None:
    assert told.share("in-part") == pytest.approx(0.1)
    assert told.findings("in-part")["failures_partly_unseen"].detail == {"share": "20%", "labels": "code"}
    for service in ("in-turn", "errors-alone"):
        assert "failures_partly_unseen" not in told.findings(service)
    assert told.share("errors-alone") == pytest.approx(0.1)


def test_several_writers_are_left_out(told: Told) -> None:
    for number in range(2, 5):
        assert told.left_out(f"writers-{number}") == HOURS
        assert "several_writers" in told.findings(f"writers-{number}")


def test_a_dip_costs_its_hour_and_no_other(told: Told) -> None:
    assert told.left_out("dip") == 1
    assert "dip" in told.findings("dip")


def test_dips_in_every_hour_leave_nothing_to_believe(told: Told) -> None:
    assert told.left_out("dips") == HOURS
    assert "dip" in told.findings("dips")


def test_restarts_cost_nothing(told: Told) -> None:
    for service in ("restart", "crash-loop"):
        assert told.left_out(service) == 0
        assert told.findings(service).keys() <= {"every_request_failed"}


def test_bursts_of_series_that_are_born_with_them_count(told: Told) -> None:
    total, bad = told.sums("born")
    assert bad == 30
    assert total == pytest.approx(10 * HOURS * PER_HOUR, rel=0.02)
    assert "births_counted" in told.findings("born")


def test_collectors_that_see_the_same_count_once_and_replicas_of_a_service_each(told: Told) -> None:
    assert "replicas_merged" in told.findings("pair")
    assert told.share("pair") == pytest.approx(0.2)
    once = told.sums("pair")[0]
    assert told.reading.series["pair"].total[3] * HOURS == pytest.approx(once, rel=0.01)
    for service in ("scaled", "alike"):
        assert "replicas_merged" not in told.findings(service)


def test_a_collector_that_begins_later_counts_nothing_new(told: Told) -> None:
    assert told.findings("late").keys() == {"replicas_merged"}
    assert told.sums("late")[0] == pytest.approx(told.reading.series["late"].total[3] * HOURS, rel=0.01)


def test_one_name_for_several_environments_is_said(told: Told) -> None:
    for label in ("env", "namespace", "deployment_environment", "cluster"):
        assert told.findings(f"two-{label}")["environments"].detail["label"] == label
    assert "environments" not in told.findings("two-regions")


def test_what_other_series_count_beside_nan_is_kept_as_partial(told: Told) -> None:
    bins = told.reading.series["nan-pod"]
    assert len(bins.at) == HOURS
    assert sum(bins.partial) == pytest.approx(HOURS / 2, abs=1)
    assert told.findings("nan-pod")["not_a_number"].detail == {"bad": 1, "of": 3}
    assert told.left_out("all-nan") == pytest.approx(HOURS / 2, abs=1)
    assert told.findings("all-nan")["impossible"].detail["what"] == "NaN in place of a count"


def test_a_jump_of_thousands_of_times_is_left_out(told: Told) -> None:
    assert told.left_out("jump") == 1
    assert "jump" in told.findings("jump")


def test_sampled_spans_do_not_displace_full_counters(told: Told) -> None:
    assert [stretch.family for stretch in told.reading.stretches["sampled"]] == ["http"]
    assert told.share("sampled") == pytest.approx(1 / 101, rel=1e-3)
    assert "families_disagree" in told.findings("sampled")


def test_failures_in_several_counters_with_the_same_labels_add_up(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = World(random.Random(1))
    for metric, rate in (("calls_total", 100.0), ("timeouts_total", 2.0), ("crashes_total", 3.0)):
        world.add(metric, {"app": "shop"}, counter(rate))
    family = MetricFamily(
        service_label="app",
        total=Selector(metric="calls_total"),
        bad=(Selector(metric="timeouts_total"), Selector(metric="crashes_total")),
    )
    config = load_config().model_copy(update={"order": ("calls",), "families": {"calls": family}})
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), world.metrics()) as url:
        source = PrometheusSource(PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url)), config)
        told = Told(source.availability(["shop"], START, END, HOUR))
        source.close()
    assert told.share("shop") == pytest.approx(0.05)
    assert told.findings("shop") == {}


def test_series_that_say_when_they_were_created_are_counted_by_that(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A new pod's first value counts however large; that of one that ran unseen before does not."""
    world = World(random.Random(1))
    world.requests("dated", counter(10.0), code="200", pod="a")
    world.add(
        "http_requests_created", {"service": "dated", "code": "200", "pod": "a"}, [START - 1e6] * SAMPLES
    )
    for pod, hour, created in (("new", 20, START + 20 * HOUR + 60), ("old", 40, START - 1e6)):
        first = hour * PER_HOUR + 2
        gap: Values = [None] * first
        world.requests("dated", [*gap, *counter(10.0, 90_000.0, SAMPLES - first)], code="200", pod=pod)
        labels = {"service": "dated", "code": "200", "pod": pod}
        world.add("http_requests_created", labels, [*gap, *[float(created)] * (SAMPLES - first)])
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), world.metrics()) as url:
        source = PrometheusSource(
            PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url)), load_config()
        )
        bins = source.availability(["dated"], START, END, HOUR).series["dated"]
        source.close()
    assert bins.total[20] == pytest.approx(90_000, rel=0.01)
    assert bins.total[40] == pytest.approx(350, rel=0.1)
