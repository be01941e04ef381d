"""How long a journey takes, for its page: sentences and rows from the stored document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.journeys.documents import (
    JourneyLatency,
    LatencyFigures,
    PathLatency,
    Percentile,
    ResultDocument,
    ServiceLatency,
)
from apps.journeys.formatting import LATENCY_SHARE, within_words
from apps.ui.format import NO_VALUE, ms, percent, plural

WHY_MISSING = {
    "none": "no latencies came in",
    "percentiles": "only percentiles of each bin came in, and these cannot be put together",
    "few": "latencies of too few requests came in",
}
NAMED = 3


@dataclass(frozen=True, slots=True)
class PathTimes:
    """One path, or all of them together."""

    name: str
    p50: str
    p95: str
    p99: str
    slower: str


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """A service in slow journeys: the time it takes there, the time it may take, how often it takes longer."""

    service_id: str
    path: str
    near: str
    budget: str
    over: str


@dataclass(frozen=True, slots=True)
class Times:
    """The part of the page on how long a journey takes."""

    word: str
    level: str
    answer: str
    is_known: bool
    days: int
    until: datetime | None
    target: str
    all: PathTimes
    paths: Sequence[PathTimes]
    services: Sequence[ServiceTimes]
    precision: str
    missing: Sequence[str]
    remarks: Sequence[str]
    samples: int


def times(document: ResultDocument | None) -> Times | None:
    """Return how long it takes, or ``None`` where that was not computed."""
    found = document.get("latency") if document else None
    if not found:
        return None
    word, level = _standing(found)
    many = len(found["paths"]) > 1
    return Times(
        word=word,
        level=level,
        answer=answer(document),
        is_known=found["p50"] is not None,
        days=found["days"],
        until=datetime.fromisoformat(found["until"]) if found["until"] else None,
        target="" if found["target_ms"] is None else within_words(found["target_ms"]),
        all=_row("All journeys", found),
        paths=[_row(path["name"], path) for path in found["paths"]] if many else [],
        services=[_service(one, many) for one in found["services"]],
        precision=_precision(found),
        missing=_missing(found),
        remarks=_inside(found["paths"]),
        samples=found["samples"],
    )


def answer(document: ResultDocument | None) -> str:
    """Return one or two sentences on how long it takes; empty where there is no figure."""
    found = document.get("latency") if document else None
    if not found or not found["p95"]:
        return ""
    sentences = f"{percent(LATENCY_SHARE)} of the journeys end within {_time(found['p95'])}"
    if found["p95"]["ms"] is None:
        sentences = f"More than {percent(1 - LATENCY_SHARE, 0)} of the journeys take {_time(found['p95'])}"
    slower = found["slower"]
    if slower is None:
        return f"{sentences}."
    kept = slower["share"] <= 1 - LATENCY_SHARE
    return (
        f"{sentences}; the latency target is {ms(found['target_ms'])}, and {percent(slower['share'])} take longer"
        f"{'' if kept else f', where {percent(1 - LATENCY_SHARE, 0)} may'}."
    )


def short(document: ResultDocument | None) -> str:
    """Return the p95 for a list: ``840 ms``."""
    found = document.get("latency") if document else None
    return _time(found["p95"]) if found else NO_VALUE


def is_too_slow(document: ResultDocument | None) -> bool:
    """Return whether more journeys than allowed are slower than the target."""
    found = document.get("latency") if document else None
    return bool(found and _standing(found)[1] == "bad")


def _standing(found: JourneyLatency) -> tuple[str, str]:
    slower = found["slower"]
    if slower is None:
        return "", ""
    kept = slower["share"] <= 1 - LATENCY_SHARE
    return ("within its target", "ok") if kept else ("slower than its target", "bad")


def _time(percentile: Percentile | None) -> str:
    if percentile is None:
        return NO_VALUE
    if percentile["ms"] is None:
        return f"over {ms(percentile['at_least_ms'])}"
    return ms(percentile["ms"])


def _row(name: str, figures: LatencyFigures) -> PathTimes:
    slower = figures["slower"]
    return PathTimes(
        name=name,
        p50=_time(figures["p50"]),
        p95=_time(figures["p95"]),
        p99=_time(figures["p99"]),
        slower=percent(slower["share"]) if slower else NO_VALUE,
    )


def _service(one: ServiceLatency, many: bool) -> ServiceTimes:
    return ServiceTimes(
        service_id=one["service_id"],
        path=one["path"] if many else "",
        near=ms(one["near_ms"]),
        budget=ms(one["budget_ms"]),
        over=percent(one["chance_over"]),
    )


def _precision(found: JourneyLatency) -> str:
    error = found["p95"]["error_ms"] if found["p95"] else None
    return "" if error is None else f"± {ms(1.96 * error)} from drawing"


def _missing(found: JourneyLatency) -> list[str]:
    sentences = []
    for reason, why in WHY_MISSING.items():
        names = [one["service_id"] for one in found["missing"] if one["reason"] == reason]
        if names:
            more = f" and {plural(len(names) - NAMED, 'other')}" if len(names) > NAMED else ""
            sentences.append(f"Of {', '.join(names[:NAMED])}{more} {why}.")
    if sentences:
        sentences.append(
            "A path with such a service has no time: percentiles can neither be added nor guessed."
        )
    return sentences


def _inside(paths: Sequence[PathLatency]) -> list[str]:
    """Return one sentence for each service inside other services' times, over all paths."""
    found: dict[str, tuple[dict[str, None], list[float]]] = {}
    for one in (one for path in paths for one in path["inside"]):
        callers, shares = found.setdefault(one["service_id"], ({}, []))
        callers.update(dict.fromkeys(one["by"]))
        shares.append(one["share"])
    return [_one_inside(name, list(callers), shares) for name, (callers, shares) in found.items()]


def _one_inside(name: str, callers: Sequence[str], shares: Sequence[float]) -> str:
    if len(callers) == 1:
        by, whose = f"{callers[0]} calls it and waits", "its own time holds"
    else:
        by = f"{', '.join(callers[:-1])} and {callers[-1]} call it and wait"
        whose = "their own times hold"
    if min(shares) >= 1:
        return f"{name} is not added: {by}, so {whose} it already."
    rest = " or ".join(sorted({percent(1 - share, 0) for share in shares if share < 1}))
    return f"{name} is added for {rest} of its calls only: in the others {by}, and {whose} them."
