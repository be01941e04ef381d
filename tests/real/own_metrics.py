"""A house's own metrics, of the last day: names that no built-in family knows, and what only looks like requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tests.real.prometheus import Metric

STEP = 300
DAY = 86_400
END = int(datetime.now(UTC).timestamp()) // STEP * STEP
START = END - DAY
BOUNDS = ("0.005", "0.05", "0.5", "5", "+Inf")

type Samples = list[tuple[dict[str, str], float, float]]


def growing(labels: dict[str, str], per_step: float) -> Samples:
    return [(labels, float(at), per_step * (at - START) / STEP) for at in range(START, END + STEP, STEP)]


def held(labels: dict[str, str], value: float) -> Samples:
    return [(labels, float(at), value) for at in range(START, END + STEP, STEP)]


def orders() -> Iterator[Metric]:
    """A house's own naming: a histogram by ``app``, in two environments, scraped under one job."""
    counted: Samples = []
    buckets: Samples = []
    for app, rate in (("basket", 100.0), ("payment", 40.0), ("search", 10.0)):
        for env in ("production", "staging"):
            scale = rate if env == "production" else rate / 10
            labels = {"app": app, "env": env, "job": "kubernetes-pods", "instance": f"{app}-{env}:8080"}
            counted += growing({**labels, "reply": "2xx", "status": "200"}, scale * 0.98)
            counted += growing({**labels, "reply": "4xx", "status": "404"}, scale * 0.01)
            counted += growing({**labels, "reply": "5xx", "status": "500"}, scale * 0.01)
            for number, bound in enumerate(BOUNDS):
                buckets += growing(
                    {**labels, "status": "200", "le": bound}, scale * (number + 1) / len(BOUNDS)
                )
    yield Metric("orders_http_seconds_count", "unknown", counted)
    yield Metric("orders_http_seconds_bucket", "unknown", buckets)


def fleet() -> Iterator[Metric]:
    yield from orders()
    # The same requests once more, counted by the gateway before them; and what only looks like requests.
    gateway: Samples = []
    for app, rate in (("basket", 110.0), ("payment", 44.0), ("search", 11.0)):
        gateway += growing({"app": app, "outcome": "SUCCESS"}, rate * 0.99)
        gateway += growing({"app": app, "outcome": "SERVER_ERROR"}, rate * 0.01)
    yield Metric("edge_calls_total", "counter", gateway)
    yield Metric("go_gc_calls_total", "counter", growing({"job": "kubernetes-pods"}, 5))
    yield Metric("cache_bytes_total", "counter", growing({"app": "basket"}, 5e6))
    yield Metric(
        "billing_requests_total", "counter",
        [one for replica in "ab" for one in growing({"svc": "invoices", "prometheus_replica": replica}, 7)],
    )  # fmt: skip
    yield Metric(
        "billing_errors_total", "counter", growing({"svc": "invoices", "prometheus_replica": "a"}, 0.7)
    )
    yield Metric("http_requests_total", "counter", growing({"app": "legacy", "job": "pods", "code": "200"}, 3)
                 + growing({"app": "portal", "job": "pods", "code": "500"}, 1))  # fmt: skip
    yield Metric("checkout:burnrate5m", "gauge", held({"slo": "checkout-availability"}, 0.002))
    yield Metric("temperature_celsius", "gauge", held({"room": "1"}, 20))
