"""The description of the demo fleet: services with their behaviour, the calls between them, and events.

Reads `fixtures/demo.toml`. A field that is missing there has the default of its class here. Needs neither Django nor
numpy.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

PATH = Path(__file__).resolve().parents[2] / "fixtures" / "demo.toml"
OWN_TABLES = {
    *("seed", "history_days", "hourly_days", "edge_days", "latency_days", "bucket_bounds_ms"),
    *("profiles", "kinds", "services", "events", "decisions"),
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

#: ``full``: it has its own series and those of the calls to it; ``edges``: only its callers saw it; ``none``: no data.
TelemetryKind = Literal["full", "edges", "none"]
LatencyKind = Literal["buckets", "percentiles", "none"]
EventKind = Literal["incident", "drift", "gap"]


class DescriptionError(ValueError):
    """The description of the demo fleet contradicts itself."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How traffic from outside varies: over a day (share of the mean), at weekends (factor), over a year (share)."""

    swing: float = 0.5
    peak_hour: float = 15.0
    weekend: float = 1.0
    growth: float = 0.0


@dataclass(frozen=True, slots=True)
class CallSpec:
    """One edge. ``hardness`` is the real chance that a failed call fails the caller, whatever ``criticality`` says."""

    source: str
    target: str
    per_request: float
    hardness: float = 0.0
    mode: str = "sync"
    criticality: str = "hard"
    group: str = ""
    declared: bool = True
    """Whether the files declare it. Otherwise only traffic shows it."""

    @property
    def carries_failures(self) -> bool:
        """Whether a failure of the target can fail the caller's answer."""
        return self.mode == "sync" and self.hardness > 0


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service: its owner, its traffic from outside, its own failures, its latency."""

    service_id: str
    team: str
    criticality: str = "medium"
    archetype: str = ""
    external: bool = False
    published_sla: float | None = None
    telemetry: TelemetryKind = "full"
    age_days: int | None = None
    direct_rps: float = 0.0
    profile: str = "merchants"
    base_error: float = 1e-4
    day_noise: float = 0.35
    step_noise: float = 0.15
    incidents_per_month: float = 0.0
    incident_minutes: float = 5.0
    incident_tail: float = 1.4
    incident_failing: tuple[float, float] = (0.05, 0.5)
    deploys_per_week: float = 0.0
    deploy_failing: float = 0.0
    latency: LatencyKind = "buckets"
    median_ms: float = 50.0
    latency_shape: float = 3.5


@dataclass(frozen=True, slots=True)
class Event:
    """A single event. ``day`` counts from the day on which the demo is loaded; ``hour`` is in UTC."""

    note: str
    service: str
    day: int
    hours: float
    hour: float = 0.0
    kind: EventKind = "incident"
    weekday: str = ""
    failing: float = 0.0
    slower: float = 1.0
    error_factor: float = 1.0
    latency_factor: float = 1.0

    def start_hour(self, anchor_weekday: int) -> float:
        """Return its start in hours from the anchor's midnight. ``anchor_weekday`` is 0 for a Monday."""
        day = self.day
        if self.weekday:
            day -= (anchor_weekday + day - WEEKDAYS.index(self.weekday)) % 7
        return day * 24 + self.hour


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision on one SLI of a service.

    With a ``target`` it is an SLO by hand or, where ``informed``, a modified recommendation. With a ``tier`` that tier
    is accepted. With neither the recommendation is rejected.
    """

    service: str
    by: str
    sli: str = "availability"
    target: float | None = None
    informed: bool = False
    tier: str = ""
    rationale: str = ""

    @property
    def is_by_hand(self) -> bool:
        """Whether it was made without a recommendation, before there was one."""
        return self.target is not None and not self.informed


@dataclass(frozen=True, slots=True)
class Fleet:
    """The whole description, in the order of the file."""

    seed: int
    history_days: int
    hourly_days: int
    edge_days: int
    latency_days: int
    bucket_bounds_ms: tuple[float, ...]
    profiles: dict[str, Profile]
    services: tuple[ServiceSpec, ...]
    calls: tuple[CallSpec, ...]
    events: tuple[Event, ...]
    decisions: tuple[Decision, ...]
    tables: dict[str, tuple[dict[str, Any], ...]]
    """The tables that other rooms read, by name: see :mod:`apps.core.demo_parts`."""

    @property
    def service_ids(self) -> list[str]:
        """All service ids, in the order of the file."""
        return [service.service_id for service in self.services]

    @property
    def teams(self) -> list[str]:
        """The teams, in the order of their first service."""
        return list(dict.fromkeys(service.team for service in self.services))

    def service(self, service_id: str) -> ServiceSpec:
        """Return one service. Raises :class:`KeyError`."""
        return next(service for service in self.services if service.service_id == service_id)


def _build[T](cls: type[T], where: str, values: dict[str, Any]) -> T:
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(values.keys() - known)
    if unknown:
        raise DescriptionError(f"{where}: unknown field {unknown[0]}.")
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _without(table: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in names}


def _check(fleet: Fleet) -> Fleet:
    ids = set(fleet.service_ids)
    for call in fleet.calls:
        if call.target not in ids or call.target == call.source:
            raise DescriptionError(f"services.{call.source}: calls {call.target}, which is no other service.")
    for service in fleet.services:
        if service.profile not in fleet.profiles:
            raise DescriptionError(f"services.{service.service_id}: there is no profile {service.profile}.")
    for decision in fleet.decisions:
        if decision.service not in ids:
            raise DescriptionError(f"decisions: there is no service {decision.service}.")
    for event in fleet.events:
        if event.service != "*" and event.service not in ids:
            raise DescriptionError(f"events: {event.note}: there is no service {event.service}.")
        if event.weekday and event.weekday not in WEEKDAYS:
            raise DescriptionError(f"events: {event.note}: {event.weekday} is no weekday.")
    return fleet


def parse(document: dict[str, Any]) -> Fleet:
    """Turn the parsed TOML into a :class:`Fleet`. Raises :class:`DescriptionError`."""
    services, calls = [], []
    for service_id, table in document["services"].items():
        values = dict(table)
        kind = values.pop("kind")
        called = values.pop("calls", {})
        if kind not in document["kinds"]:
            raise DescriptionError(f"services.{service_id}: there is no kind {kind}.")
        merged = {**document["kinds"][kind], **values, "service_id": service_id}
        services.append(_build(ServiceSpec, f"services.{service_id}", merged))
        calls += [
            _build(
                CallSpec,
                f"services.{service_id}.calls.{target}",
                {**call, "source": service_id, "target": target},
            )
            for target, call in called.items()
        ]
    return _check(
        Fleet(
            seed=document["seed"],
            history_days=document["history_days"],
            hourly_days=document["hourly_days"],
            edge_days=document["edge_days"],
            latency_days=document["latency_days"],
            bucket_bounds_ms=tuple(float(bound) for bound in document["bucket_bounds_ms"]),
            profiles={
                name: _build(Profile, f"profiles.{name}", table)
                for name, table in document["profiles"].items()
            },
            services=tuple(services),
            calls=tuple(calls),
            events=tuple(_build(Event, "events", table) for table in document["events"]),
            decisions=tuple(
                _build(
                    Decision,
                    "decisions",
                    {**_without(table, "services", "slis"), "service": service_id, "sli": sli},
                )
                for table in document["decisions"]
                for service_id in table["services"]
                for sli in table.get("slis", ["availability"])
            ),
            tables={name: tuple(rows) for name, rows in document.items() if name not in OWN_TABLES},
        )
    )


@lru_cache(maxsize=1)
def fleet() -> Fleet:
    """Return the demo fleet that ships with Ballast."""
    return parse(tomllib.loads(PATH.read_text(encoding="utf-8")))
