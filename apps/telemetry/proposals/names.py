"""Finds out from a metric's name and type whether it counts requests, and which metrics belong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from apps.telemetry.clients.prometheus.families import MetricFamily
from apps.telemetry.clients.prometheus.surveying import Described

type Kind = Literal["counters", "rates", "ratios", "probes"]

#: The least score at which a metric is worth questions.
WORTH_A_LOOK = 3
#: Metrics of runtimes, machines and monitoring about themselves. Only presets read any of them.
_OF_ITSELF = re.compile(
    r"(go|process|prometheus|promhttp|scrape|net_conntrack|python|jvm|nodejs|dotnet|ruby|puma|node|windows|container"
    r"|machine|cadvisor|kube|kubelet|kubernetes|kubeproxy|workqueue|rest_client|leader_election|apiserver|apiextensions"
    r"|authentication|authorization|aggregator|etcd|coredns|alertmanager|grafana|loki|tempo|cortex|mimir|thanos|otelcol"
    r"|vm|vmagent|traces_service_graph|statsd|promtail|fluentd|fluentbit|logstash|cert_manager|certmanager"
    r"|tomcat|hikaricp|logback|system|disk|executor|felix|cilium|calico|argocd|flux|gotk|controller_runtime"
    r"|csi|storage|volume|plugin_manager|registered_watchers|watch)_.*|up|ALERTS.*|.*_created"
)
_NOT_REQUESTS = re.compile(
    r".*_(bytes|size|seconds_total|milliseconds_total|seconds_sum|info|timestamp|created|sum|bucket|max|min)"
)
_SCORES: tuple[tuple[int, frozenset[str]], ...] = (
    (3, frozenset({"requests", "request", "req", "reqs", "rq", "calls", "rpcs", "handled", "hits", "invocations"})),
    (2, frozenset({"http", "https", "grpc", "rpc", "api", "server", "served", "responses", "response", "web"})),
    (2, frozenset({"transactions", "operations", "orders", "queries", "commands", "processed", "invocation", "call"})),
    (1, frozenset({"duration", "latency", "handling", "seconds", "time", "inbound", "incoming", "received"})),
    (-4, frozenset({"client", "outgoing", "outbound", "egress", "upstream", "downstream", "external", "dependency"})),
    (-3, frozenset({"errors", "error", "failed", "failures", "failure", "exceptions", "exception", "rejected"})),
    (-2, frozenset({"cache", "sql", "db", "queue", "kafka", "consumer", "producer", "log", "retry", "retries"})),
    (-2, frozenset({"pool", "connection", "connections", "sessions", "job", "jobs", "batch", "health", "metrics"})),
    (-4, frozenset({"gc", "heap", "memory", "cpu", "thread", "threads", "bytes", "size", "disk", "file", "inflight"})),
)  # fmt: skip
#: Words in names of counters of failures: orders_failed_total beside orders_total.
_FAILED = ("errors", "error", "failed", "failures", "failure", "exceptions")
_RATE = re.compile(r".*:(?:[a-z_]*_)?(?:rate|irate)(?:_?(1|2|3|5)m)?")
_RATIO = re.compile(
    r".*:(?:burnrate5m|.*(?:error|fail)[a-z_:]*ratio[a-z_:]*(?:5m)?|error_rate5m|errors?:ratio.*)"
)
_PROBE = re.compile(r".*(probe|check|endpoint|monitor|ping).*_(success|up|ok|healthy)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A metric that may count requests.

    Parameters:
        metric: the name to ask for.
        base: the common part of its names: ``orders_http_seconds`` of ``…_count`` and ``…_bucket``.
        buckets: its classic histogram, where there is one; for a native histogram the metric itself.
        failed: metrics whose names suggest that they count its failures.
        presets: configured families that read it.
    """

    metric: str
    base: str
    kind: Kind
    score: int
    native: bool = False
    buckets: str = ""
    failed: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()


def candidates(
    names: Collection[str],
    described: Mapping[str, Described],
    families: Iterable[tuple[str, MetricFamily]] = (),
) -> tuple[list[Candidate], Counter[str]]:
    """Return the metrics worth a look, the likeliest first, and the number of the others by reason.

    Parameters:
        described: what the server knows about each metric; a histogram's parts are under its base name.
        families: configured families, which are known to count requests.
    """
    known = set(names)
    presets: dict[str, list[str]] = {}
    kinds: dict[str, tuple[Kind, bool]] = {}
    for name, family in families:
        metric = family.counted.metric
        if metric in known:
            presets.setdefault(metric, []).append(name)
            kinds[metric] = (family.kind, family.counted.native)
    found: list[Candidate] = []
    left_out: Counter[str] = Counter()
    for metric in sorted(known):
        if metric in presets:
            kind, native = kinds[metric]
            found.append(_made(metric, kind, 100, native, known, tuple(presets[metric])))
        elif _OF_ITSELF.fullmatch(metric):
            left_out["what runtimes, machines and monitoring count of themselves"] += 1
        elif (one := _recognised(metric, known, described)) is not None:
            found.append(one)
        else:
            left_out["no counters of requests by their name and type"] += 1
    found.sort(key=lambda one: (-one.score, one.metric))
    return found, left_out


def _recognised(metric: str, known: set[str], described: Mapping[str, Described]) -> Candidate | None:
    if ":" in metric:
        if _RATIO.fullmatch(metric):
            return _made(metric, "ratios", 1 + WORTH_A_LOOK, False, known)
        if _RATE.fullmatch(metric) and _score(metric) > 0:
            return _made(metric, "rates", _score(metric) + 1, False, known)
        return None
    stated = _described(metric, described).kind
    if stated in {"", "unknown", "gauge"} and _PROBE.fullmatch(metric):
        return _made(metric, "probes", WORTH_A_LOOK, False, known)
    if _NOT_REQUESTS.fullmatch(metric):
        return None
    base = metric.removesuffix("_count")
    is_histogram = metric.endswith("_count") and (f"{base}_bucket" in known or f"{base}_sum" in known)
    is_native = stated == "histogram" and not metric.endswith("_count") and f"{metric}_bucket" not in known
    is_counter = stated == "counter" or (stated in {"", "unknown"} and metric.endswith("_total"))
    if not (is_histogram or is_native or is_counter):
        return None
    score = _score(base)
    score += 2 if is_native or f"{base}_bucket" in known else 0
    score += 1 if stated in {"counter", "histogram", "summary"} else 0
    return _made(metric, "counters", score, is_native, known) if score >= WORTH_A_LOOK else None


def _described(metric: str, described: Mapping[str, Described]) -> Described:
    for name in (metric, metric.removesuffix("_count"), metric.removesuffix("_total")):
        if name in described:
            return described[name]
    return Described()


def unit_of(candidate: Candidate, described: Mapping[str, Described]) -> Literal["ms", "s", ""]:
    """Return the unit of a histogram's bounds from the server or the name, or an empty string."""
    stated = described.get(candidate.base, Described()).unit
    words = f"{candidate.base}_{stated}".lower().replace(".", "_")
    if re.search(r"_(ms|msec|millis|milliseconds?)(_|$)", words):
        return "ms"
    if re.search(r"_(s|sec|secs|seconds?)(_|$)", words):
        return "s"
    return ""


def tokens(metric: str) -> list[str]:
    """Return the words of a name: ``orders.httpRequests_total`` has orders, http, requests, total."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", metric)
    return [word for word in re.split(r"[^a-zA-Z0-9]+", spaced.lower()) if word]


def says_requests(metric: str) -> bool:
    """Return whether a name says directly that it counts requests."""
    return not _SCORES[0][1].isdisjoint(tokens(metric))


def _score(metric: str) -> int:
    words = set(tokens(metric))
    return sum(score for score, group in _SCORES if not words.isdisjoint(group))


def _made(
    metric: str, kind: Kind, score: int, native: bool, known: set[str], presets: tuple[str, ...] = ()
) -> Candidate:
    base = metric.removesuffix("_count")
    bucket = f"{base.removesuffix('_total')}_bucket"
    if native:
        buckets = metric
    elif bucket in known:
        buckets = bucket
    else:
        buckets = _sibling(base, known)
    return Candidate(metric, base, kind, score, native, buckets, _failures(metric, known), presets)


def _sibling(base: str, known: set[str]) -> str:
    """Return a plain counter's histogram: ``http_request_duration_seconds_bucket`` for ``http_requests_total``."""
    stem = base.removesuffix("_total")
    stems = (
        stem,
        stem.removesuffix("s"),
        stem.removesuffix("_requests"),
        stem.removesuffix("_requests") + "_request",
    )
    suffixes = ("duration_seconds", "latency_seconds", "seconds", "duration_milliseconds", "latency_ms",
                "duration_ms", "latency", "duration")  # fmt: skip
    wanted = (f"{one}_{suffix}_bucket" for one in stems for suffix in suffixes)
    return next((one for one in wanted if one in known), "")


def _failures(metric: str, known: set[str]) -> tuple[str, ...]:
    stem = metric.removesuffix("_total").removesuffix("_count")
    stems = {stem, re.sub(r"_(requests?|calls|responses)$", "", stem), stem.removesuffix("s")}
    wanted = [f"{one}_{word}{end}" for one in sorted(stems) for word in _FAILED for end in ("_total", "")]
    return tuple(one for one in wanted if one in known and one != metric)[:1]
