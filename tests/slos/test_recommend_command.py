"""``manage.py recommend``: what it prints, what it reads, what it keeps."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.models import AuditEntry
from apps.engine.types import ServiceInput
from apps.slos.management.commands.recommend import Command
from apps.slos.models import EdgeEstimate, Recommendation
from tests.slos.conftest import (
    HOUR,
    full_hour,
    make_calls,
    make_days,
    make_edge,
    make_hours,
    make_latency,
    make_service,
    steady,
)


def recommend(*arguments: str) -> str:
    out = io.StringIO()
    call_command("recommend", *arguments, stdout=out)
    return out.getvalue()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def fleet(shop: Team) -> list[Service]:
    """Two services, one of which calls the other, with edges and latencies; one external without data."""
    web = make_service("web/with ~ odd::name", team=shop)
    database = make_service("database", team=shop)
    provider = make_service("provider", is_external=True, published_sla="0.999")
    end = make_hours(web, days=40)
    make_hours(database, days=40, fails=steady(0.0002))
    make_calls(web, database, end=end, days=40, per_hour=8_000, fails=steady(0.0002))
    make_days(web, [0.0005] * 100, end=end)
    make_latency(web, end=end)
    make_edge(web, database)
    make_edge(web, provider, calls_per_request=0.1)
    return [web, database, provider]


def test_one_that_the_engine_fails_on_is_left_out_named_and_makes_the_command_fail(
    fleet: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.slos.making import inputs

    batches = inputs.batches

    def with_a_broken_one(*args: Any, **options: Any) -> Iterator[list[ServiceInput]]:
        for batch in batches(*args, **options):
            yield [
                replace(each, counts=replace(each.counts, bad=each.counts.bad[:-1]))
                if each.service_id == "database" and each.counts is not None
                else each
                for each in batch
            ]

    monkeypatch.setattr(inputs, "batches", with_a_broken_one)
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 of 3 services could not be computed"):
        call_command("recommend", "--store", stdout=out)
    assert [each["service_id"] for each in lines(out.getvalue())] == ["provider", "web/with ~ odd::name"]
    assert set(Recommendation.objects.values_list("service__service_id", flat=True)) == {
        "provider",
        "web/with ~ odd::name",
    }


def test_without_services_it_says_how_to_get_some_and_prints_nothing_else(db: None) -> None:
    out, errors = io.StringIO(), io.StringIO()
    call_command("recommend", "--format", "table", stdout=out, stderr=errors)
    assert out.getvalue() == ""
    assert "There are no services yet" in errors.getvalue()
    named = re.findall(r"manage\.py (\w+)", errors.getvalue())
    assert named
    assert set(named) <= set(get_commands()), "only commands that exist"


def test_it_prints_one_document_a_service_by_id(fleet: list[Service]) -> None:
    found = lines(recommend())
    assert [document["service_id"] for document in found] == ["database", "provider", "web/with ~ odd::name"]
    assert list(found[0]) == [
        "service_id", "as_of", "window_days", "seed", "availability", "latency", "data_quality", "confidence",
        "explanation",
    ]  # fmt: skip
    tiers = found[2]["availability"]["tiers"]
    targets = [tiers[name]["target"] for name in ("conservative", "balanced", "aggressive")]
    assert targets == sorted(targets)
    assert targets[-1] < 1
    assert found[2]["latency"]["p95_ms"]["verdict"] == "ok"
    edges = {edge["target_id"]: edge for edge in found[2]["availability"]["composite"]["dependencies"]}
    assert edges["database"]["call_probability"] == pytest.approx(0.8)
    assert edges["provider"]["availability_source"] == "published_sla"


def test_the_same_data_and_seed_give_the_same_bytes(fleet: list[Service]) -> None:
    first = recommend("--seed", "7")
    assert recommend("--seed", "7") == first
    assert recommend("--seed", "8") != first


def test_as_of_is_the_end_of_the_newest_complete_bin(fleet: list[Service]) -> None:
    [document] = lines(recommend("--service", "database"))
    assert document["as_of"] == full_hour().strftime("%Y-%m-%dT%H:%M:%SZ")


def test_nothing_after_as_of_is_read(fleet: list[Service]) -> None:
    as_of = full_hour() - timedelta(days=5)
    arguments = ("--as-of", as_of.isoformat(), "--window-days", "28")
    before = recommend(*arguments)
    from apps.telemetry.models import EdgeHour, LatencyHour, SliDay, SliHour

    for model in (SliHour, SliDay, EdgeHour):
        width = timedelta(days=1) if model is SliDay else HOUR
        changed = model.objects.filter(bin_start__gt=as_of - width).update(total=50, bad=50)
        assert changed
    assert LatencyHour.objects.filter(bin_start__gt=as_of - HOUR).update(cumulative=[0.0, 0.0, 0.0, 0.0, 9.0])
    assert recommend(*arguments) == before
    assert recommend() != before


def test_it_stores_nothing_unless_told_to(fleet: list[Service]) -> None:
    recommend()
    assert not Recommendation.objects.exists()
    assert not AuditEntry.objects.exists()


def test_it_stores_three_rows_a_service_in_one_audited_step(fleet: list[Service]) -> None:
    recommend("--store")
    assert Recommendation.objects.filter(status="current").count() == 9
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.source, entry.actor) == ("slos.store_recommendations", "command", None)
    assert entry.after is not None
    assert entry.after["services"] == 3
    [document] = lines(recommend("--service", "web/with ~ odd::name"))
    row = Recommendation.objects.get(service=fleet[0], sli_type="availability")
    assert row.balanced == document["availability"]["tiers"]["balanced"]["target"]
    assert row.composite == document["availability"]["composite"]["point"]
    assert row.document == document["availability"]
    estimate = EdgeEstimate.objects.get(source=fleet[0], target=fleet[1])
    assert estimate.call_probability == pytest.approx(0.8)
    assert estimate.call_probability_source == "observed"


def test_storing_again_supersedes(fleet: list[Service]) -> None:
    recommend("--store", "--service", "database")
    recommend("--store", "--service", "database")
    statuses = Recommendation.objects.filter(sli_type="availability").order_by("generated_at", "id")
    assert [row.status for row in statuses] == ["superseded", "current"]


def test_it_prints_a_table(fleet: list[Service]) -> None:
    header, *rows = recommend("--format", "table").splitlines()
    assert header.split()[:3] == ["service", "verdict", "observed"]
    assert len(rows) == 3
    assert "%" in rows[0]


def test_it_names_the_service_that_is_not_there(fleet: list[Service]) -> None:
    with pytest.raises(CommandError, match="no service called nowhere"):
        recommend("--service", "nowhere")


def test_its_help_says_what_an_instant_cuts_and_what_it_does_not() -> None:
    words = " ".join(Command().create_parser("manage.py", "recommend").format_help().split())
    assert "read no telemetry after this; the graph (edges, criticality, published SLAs) is today's" in words


@pytest.mark.parametrize("arguments", [("--as-of", "yesterday"), ("--window-days", "0")])
def test_it_refuses_what_it_cannot_read(db: None, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        recommend(*arguments)
