"""Sample data: made up, seeded, and with names that try to break out of the page."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from django.http import QueryDict
from pydantic import BaseModel, ConfigDict, Field

from apps.core.actions import FieldChange, Preview, Touch
from apps.ui import charts
from apps.ui.format import chance_words, percent
from apps.ui.forms import fields_for
from apps.ui.navigation import Group, Item
from apps.ui.tables import Column, Pager, Table

NOW = datetime(2025, 11, 20, 14, 5, tzinfo=UTC)
LAST_DAY = date(2025, 11, 20)
ODD_NAME = 'PetAdoptionStatusUpdater/prod_AWS::ApiGateway::Stage<script>"&amp;'


def days(amount: int) -> list[date]:
    return [LAST_DAY - timedelta(days=amount - 1 - index) for index in range(amount)]


def availability() -> charts.Chart:
    chance = random.Random(3)
    points = []
    for index, at in enumerate(days(90)):
        value = 1 - abs(chance.gauss(0.0002, 0.0001))
        value -= {31: 0.0011, 32: 0.0013, 67: 0.012}.get(index, 0)
        points.append(
            charts.AvailabilityPoint(
                at, value, value - 0.0003, min(1.0, value + 0.0001), 412_000, 412_000 * (1 - value)
            )
            if not 50 <= index <= 53
            else charts.AvailabilityPoint(at, None)
        )
    events = [
        charts.Event(LAST_DAY - timedelta(days=58), "deploy 4.18", "rolled back"),
        charts.Event(LAST_DAY - timedelta(days=56), "drift"),
        charts.Event(LAST_DAY - timedelta(days=22), "incident", "certificate expired"),
    ]
    return charts.daily_availability(points, target=0.9995, events=events)


def burn(overspent: bool) -> charts.Chart:
    start = NOW - timedelta(days=18)
    chance = random.Random(5)
    left, points = 1.0, []
    for hour in range(0, 18 * 24, 6):
        left -= chance.random() * (0.035 if overspent else 0.009) + (0.14 if hour == 240 else 0)
        points.append(charts.BudgetPoint(start + timedelta(hours=hour), left))
    return charts.burn_down(
        points,
        start=start,
        end=start + timedelta(days=28),
        forecast_end=left - 0.2,
        events=[charts.Event((start + timedelta(days=10)).date(), "incident")],
    )


def latency() -> charts.Chart:
    chance = random.Random(8)
    at = days(60)
    p95 = tuple(180 + 30 * chance.random() for _ in at)
    p99 = tuple(
        None if 20 <= index < 23 else value * 1.9 + 60 * chance.random() for index, value in enumerate(p95)
    )
    return charts.latency_lines(
        at,
        [charts.LatencySeries("p95", p95, 250.0), charts.LatencySeries("p99", p99)],
        events=[charts.Event(at[30], "deploy")],
    )


def contributions() -> charts.Chart:
    parts = [
        charts.Contribution("payments-db (shared)", -0.00021),
        charts.Contribution("fraud-api, called 0.8×", -0.00014),
        charts.Contribution("Retry on timeout", 0.00006),
        charts.Contribution(ODD_NAME, -0.00007),
    ]
    return charts.waterfall(0.99991, parts, 0.99955, base_label="Own reliability")


def fan() -> charts.Chart:
    return charts.next_window(
        [
            charts.TierInterval("Conservative", 0.9992, 0.9990, 0.9994, 0.01),
            charts.TierInterval("Balanced", 0.99955, 0.9994, 0.99965, 0.05),
            charts.TierInterval("Aggressive", 0.9997, 0.9996, 0.99978, 0.2),
        ],
        past=windows({9, 17}),
        references=[
            charts.Reference("dependencies", 0.9996),
            charts.Reference("observed", 0.99968),
            charts.Reference("SLO", 0.999),
        ],
    )


def windows(missed: set[int]) -> list[charts.Window]:
    start = LAST_DAY - timedelta(days=26 * 14)
    return [
        charts.Window(
            start + timedelta(days=14 * index),
            start + timedelta(days=14 * index + 28),
            None if index == 0 else 0.9993 if index in missed else 0.9998,
            index in missed,
        )
        for index in range(26)
    ]


def tiers() -> list[dict[str, Any]]:
    rows: list[tuple[str, float, float, set[int], str, bool]] = [
        ("Conservative", 0.9992, 0.01, set(), "0.1", False),
        ("Balanced", 0.99955, 0.05, {9}, "0.4", True),
        ("Aggressive", 0.9997, 0.2, {3, 9, 10, 18, 21}, "1.9", False),
    ]
    return [
        {
            "name": name,
            "target": percent(target),
            "chance": chance_words(probability),
            "strip": charts.backtest_strip(windows(missed)),
            "lines": [
                f"Between {percent(target - 0.0002)} and {percent(target + 0.0001)}, 90\u202f% sure",
                f"Would have paged {pages} times a month",
                *(["Dependencies support it"] if name != "Aggressive" else []),
            ],
            "warning": "payments-db supports 99.96\u202f%" if name == "Aggressive" else "",
            "suggested": suggested,
            "accept_url": "#accept",
        }
        for name, target, probability, missed, pages, suggested in rows
    ]


def graph() -> charts.Chart:
    node = charts.GraphNode
    nodes = [
        node("payments-api", "payments-api", "#n", "99.955 % · payments", "warn", "decision due"),
        node("checkout-web", "checkout-web", "#n", "99.5 % · shop", "bad", "budget spent"),
        node("mobile-bff", "mobile-bff", "#n", "99.5 % · shop", "ok", "fine"),
        node("edge", "edge-gateway", "#n", "shop", "ok", "fine"),
        node("db", "payments-db", "#n", "99.99 % · payments", "ok", "fine"),
        node("fraud", "fraud-api", "#n", "no SLO yet"),
        node("orders", "orders", "#n", "", "ok", "fine", in_cycle=True),
        node("stock", "stock", "#n", "", "ok", "fine", in_cycle=True),
        node("pricing", "pricing", "#n", "", "warn", "drift", in_cycle=True),
        node("odd", ODD_NAME, "#n", "discovered"),
        node("bank", "bank-gateway", "#n", "SLA 99.5 %", external=True),
    ]
    edge = charts.GraphEdge
    edges = [
        edge("checkout-web", "payments-api"),
        edge("mobile-bff", "payments-api", "soft"),
        edge("edge", "checkout-web"),
        edge("edge", "mobile-bff"),
        edge("edge", "fraud", stale=True),
        edge("payments-api", "db"),
        edge("payments-api", "fraud", "soft"),
        edge("payments-api", "orders", "async"),
        edge("orders", "stock", in_cycle=True),
        edge("stock", "pricing", in_cycle=True),
        edge("pricing", "orders", in_cycle=True),
        edge("payments-api", "odd", stale=True),
        edge("fraud", "bank"),
        edge("orders", "db"),
        edge("checkout-web", "db"),
    ]
    return charts.dependency_graph(nodes, edges, "payments-api")


def neighbourhood(callers: int, callees: int) -> charts.Chart:
    """A star as wide as a busy shared database."""
    nodes = [charts.GraphNode("hub", "shared-postgres", "#n", "99.99 %", "ok", "fine")]
    nodes += [charts.GraphNode(f"caller-{n}", f"caller-{n}", "#n") for n in range(callers)]
    nodes += [charts.GraphNode(f"store-{n}", f"store-{n}", "#n") for n in range(callees)]
    edges = [charts.GraphEdge(f"caller-{n}", "hub") for n in range(callers)]
    edges += [charts.GraphEdge("hub", f"store-{n}", "async") for n in range(callees)]
    return charts.dependency_graph(nodes, edges, "hub")


class Modify(BaseModel):
    """A form with one input of every kind."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(json_schema_extra={"widget": "hidden"})
    target: float = Field(
        title="Target",
        gt=0,
        lt=1,
        ge=0.5,
        le=0.99999,
        description="Share of good requests.",
        json_schema_extra={"unit": "percent"},
    )
    threshold: float | None = Field(None, title="Threshold", gt=0, json_schema_extra={"unit": "ms"})
    window_days: Literal[28, 30] = Field(
        28, title="Window", json_schema_extra={"labels": {"28": "28 days", "30": "30 days"}}
    )
    rationale: str = Field(
        title="Why",
        min_length=1,
        max_length=500,
        description="Kept in the audit trail.",
        json_schema_extra={"widget": "textarea"},
    )
    notify: bool = Field(True, title="Tell the owners of services upstream")


COLUMNS = (
    Column("Service", "service"),
    Column("Team", "team"),
    Column("SLO", "target", numeric=True),
    Column("Observed 28 d", "observed", numeric=True, hint="Good requests over all requests"),
    Column("Budget"),
    Column("left", "budget", numeric=True),
    Column("Burn 1 h", "burn", numeric=True, descending_first=True),
    Column("State", "state"),
)


def services() -> list[dict[str, Any]]:
    return [
        {
            "name": "payments-api",
            "team": "payments",
            "target": 0.999,
            "observed": 0.99968,
            "left": 0.68,
            "burn": 0.4,
            "level": "warn",
            "word": "decision due",
        },
        {
            "name": "checkout-web",
            "team": "shop",
            "target": 0.995,
            "observed": 0.9941,
            "left": -0.18,
            "burn": 3.1,
            "level": "bad",
            "word": "budget spent",
        },
        {
            "name": "ledger",
            "team": "payments",
            "target": 0.9995,
            "observed": 0.99992,
            "left": 0.91,
            "burn": 0.1,
            "level": "ok",
            "word": "fine",
        },
        {
            "name": ODD_NAME,
            "team": "risk",
            "target": None,
            "observed": 0.99974,
            "left": None,
            "burn": None,
            "level": "",
            "word": "no SLO yet",
        },
    ]


def navigation() -> tuple[Group, ...]:
    return (
        Group(
            "See",
            (
                Item("Overview", "#", 0, False),
                Item("Services", "#", 0, True),
                Item("Dependency map", "#", 0, False),
            ),
        ),
        Group("Decide", (Item("Recommendations", "#", 7, False), Item("Budgets", "#", 0, False))),
        Group("Prove", (Item("Audit", "#", 0, False), Item("API keys", "#", 0, False))),
    )


def preview() -> Preview:
    return Preview(
        summary="The SLO of payments-api rises. The old one ends in the same moment.",
        changes=(FieldChange("Target", "99.9 %", "99.97 %"), FieldChange("Window", "28 days", "28 days")),
        touches=(
            Touch(11, "services upstream"),
            Touch(3, "of them with an SLO", ("checkout-web", "mobile-bff", "edge")),
            Touch(0, "SLOs hurt"),
        ),
        warnings=("Above what dependencies support (99.96 %): 3 of 5 months would have missed it.",),
        undo="Accept another tier or edit the SLO at any time; the history keeps both.",
    )


def context() -> dict[str, Any]:
    query = QueryDict("team=payments&sort=-budget")
    errors = {"target": ["Must be at most 99.999\u202f%."], "rationale": ["This is needed."]}
    return {
        "navigation": navigation(),
        "availability": availability(),
        "burn": burn(overspent=False),
        "overspent": burn(overspent=True),
        "latency": latency(),
        "waterfall": contributions(),
        "fan": fan(),
        "graph": graph(),
        "star": neighbourhood(14, 5),
        "tiers": tiers(),
        "services": services(),
        "table": Table("services", "Services", COLUMNS, 4, 412, "services", "-budget", query),
        "nothing": Table(
            "none",
            "Services",
            COLUMNS,
            0,
            0,
            "services",
            empty_title="No service matches “foo”",
            empty_text="Clear the filter, or import services as files.",
        ),
        "pager": Pager("", "?cursor=abc", "1 to 50 of 412"),
        "fields": fields_for(Modify, {"service": "payments-api", "target": 0.9997}),
        "wrong_fields": fields_for(Modify, {"service": "payments-api", "target": "100.2"}, errors),
        "filters": [
            {"name": "q", "label": "Name", "value": "", "choices": ()},
            {
                "name": "team",
                "label": "Team",
                "value": "payments",
                "choices": (("", "All"), ("payments", "payments")),
            },
        ],
        "preview": preview(),
        "timeline": [
            {
                "level": "ok",
                "text": "99.9 % accepted by the owner",
                "at": NOW - timedelta(days=170),
                "detail": "“until the new database”",
            },
            {
                "level": "bad",
                "text": "Window missed by 0.02 points",
                "at": NOW - timedelta(days=58),
                "detail": "deploy 4.18 rolled back",
            },
            {"level": "", "text": "Recommendation renewed", "at": NOW, "detail": ""},
        ],
        "spark": [0.4, 0.5, None, 0.45, 0.7, 0.9, 1.4],
        "now": NOW,
        "odd_name": ODD_NAME,
    }
