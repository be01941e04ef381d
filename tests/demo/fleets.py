"""The demo fleet with less history, so that a test has it in a second or two."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from apps.demo.description import Fleet, fleet

NOW = datetime(2026, 3, 18, 14, 20, tzinfo=UTC)  # a Wednesday
DAY = 86_400
HOUR = 3600


def at(hour: int) -> int:
    """Unix seconds of the full hour that is so many hours from now."""
    return int(NOW.timestamp()) // HOUR * HOUR + hour * HOUR


def anchor() -> int:
    """Midnight of today."""
    return at(0) - at(0) % DAY


TINY = (
    *(
        "payments-api",
        "payments-db",
        "card-acquirer",
        "card-network",
        "ledger",
        "wallet",
        "payout-router",
        "sepa-gw",
    ),
    *("sepa-gw-2", "orders", "stock", "pricing", "search", "checkout-web", "mobile-bff", "delivery-quotes"),
    *("fraud-api", "notify"),
)


def services_of(journey: dict[str, Any]) -> set[str]:
    """The services on a journey's paths."""
    return {step["service_id"] for path in journey["paths"] for step in path["steps"]}


def tiny_fleet() -> Fleet:
    """Some of the demo fleet with nine days of history, seven of them by the hour: enough to load and
    to remove.
    """
    whole = fleet()
    return replace(
        whole,
        history_days=9,
        hourly_days=7,
        edge_days=4,
        latency_days=2,
        services=tuple(service for service in whole.services if service.service_id in TINY),
        calls=tuple(call for call in whole.calls if call.source in TINY and call.target in TINY),
        events=tuple(event for event in whole.events if event.service in (*TINY, "*")),
        decisions=tuple(decision for decision in whole.decisions if decision.service in TINY),
        tables={"journeys": tuple(row for row in whole.tables["journeys"] if services_of(row) <= set(TINY))},
    )
