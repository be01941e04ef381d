"""An SLO with another number than the tiers: with a reason, and with what speaks against it said before."""

from __future__ import annotations

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import InvalidInput, NotAllowed
from apps.core.models import AuditEntry
from apps.slos.impact import risk
from apps.slos.models import ActiveSlo
from apps.slos.objectives import status
from tests.slos.conftest import (
    acting,
    compute,
    current,
    full_hour,
    make_days,
    make_edge,
    make_hours,
    make_service,
    make_user,
    steady,
)


def change(service: Service, **more: object) -> dict[str, object]:
    sli_type = str(more.get("sli_type", "availability"))
    return {
        "service_id": service.service_id,
        "sli_type": sli_type,
        "recommendation_id": str(current(service, sli_type).pk),
        "rationale": "The contract says so.",
        **more,
    }


def test_it_makes_the_number_the_slo(checkout: Service, owner: Actor) -> None:
    dispatch("slos.modify", change(checkout, target=0.9985), actor=owner)
    slo = ActiveSlo.objects.get(service=checkout)
    assert (float(slo.target), slo.source, slo.tier) == (0.9985, "modified", "")
    assert slo.rationale == "The contract says so."
    assert AuditEntry.objects.get(action="slos.modify").rationale == "The contract says so."


def test_it_takes_a_threshold_for_a_latency(checkout: Service, owner: Actor) -> None:
    dispatch("slos.modify", change(checkout, sli_type="latency_p99", threshold_ms=420), actor=owner)
    slo = ActiveSlo.objects.get(service=checkout)
    assert (slo.threshold_ms, float(slo.target)) == (420, 0.99)


@pytest.mark.parametrize("rationale", ["", "   "])
def test_it_asks_for_a_reason(checkout: Service, owner: Actor, rationale: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch("slos.modify", change(checkout, target=0.9985, rationale=rationale), actor=owner)
    assert [field.path for field in refusal.value.fields] == ["rationale"]


@pytest.mark.parametrize("target", [0, 1, -0.5, 1.0001, float("nan"), 0.9999999999])
def test_it_refuses_a_target_that_leaves_no_budget_or_no_target(
    checkout: Service, owner: Actor, target: float
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch("slos.modify", change(checkout, target=target), actor=owner)
    assert refusal.value.fields[0].path == "target"
    assert not ActiveSlo.objects.exists()


def test_it_tells_a_percent_from_a_ratio(checkout: Service, owner: Actor) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch("slos.modify", change(checkout, target=99.95), actor=owner)
    assert "write 0.9995 for 99.95 %" in refusal.value.fields[0].message


@pytest.mark.parametrize("numbers", [{}, {"threshold_ms": 300}, {"target": 0.99, "threshold_ms": 300}])
def test_it_refuses_numbers_of_another_kind(
    checkout: Service, owner: Actor, numbers: dict[str, float]
) -> None:
    with pytest.raises(InvalidInput, match="not valid"):
        dispatch("slos.modify", change(checkout, **numbers), actor=owner)


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_it_rejects_who_only_reads(checkout: Service, shop: Team, role: str) -> None:
    with pytest.raises(NotAllowed):
        dispatch("slos.modify", change(checkout, target=0.99), actor=acting(make_user("r", role, shop)))


def test_it_rejects_an_owner_of_another_team(checkout: Service) -> None:
    stranger = acting(make_user("otto", "service_owner", Team.objects.create(name="payments")))
    with pytest.raises(NotAllowed):
        dispatch("slos.modify", change(checkout, target=0.99), actor=stranger)


@pytest.fixture
def moody(shop: Team) -> Service:
    """Ten months: the newest at 99.9 %, two in the middle at 99 %; 120 days of hours; one weak dependency."""
    service = make_service("moody", team=shop)
    database = make_service("database", team=shop)
    make_edge(service, database)
    end = make_hours(service, days=100, fails=steady(0.001))
    make_hours(database, days=100, fails=steady(0.0008), end=end)
    make_days(service, [0.001] * 100 + [0.01] * 60 + [0.001] * 140, end=end)
    compute(service)
    return service


def test_its_preview_counts_the_past_months_that_would_have_missed_it(moody: Service, owner: Actor) -> None:
    seen = preview("slos.modify", change(moody, target=0.998), actor=owner)
    missed, of = risk.missed_before(moody, "availability", 0.998, None, "requests", 28)
    assert 0 < missed < of
    assert any(f"{missed} of {of} past windows would have missed it" in warning for warning in seen.warnings)


def test_its_count_of_the_past_is_the_one_of_the_engine(moody: Service) -> None:
    from apps.slos.making.inputs import load
    from tests.engine.samples import backtest_target

    as_of = full_hour()
    [given] = load([moody], as_of)
    for target in (0.98, 0.9905, 0.998, 0.99905):
        judged = backtest_target(given.history, given.counts, target, 28, int(as_of.timestamp()))
        found = risk.missed_before(moody, "availability", target, None, "requests", 28)
        assert found == (judged["missed"], judged["of"])


def test_its_preview_names_what_the_dependencies_support(moody: Service, owner: Actor) -> None:
    limit = risk.dependency_limit(current(moody))
    assert limit is not None
    target = round(limit + (1 - limit) / 2, 6)
    seen = preview("slos.modify", change(moody, target=target), actor=owner)
    [warning] = [text for text in seen.warnings if "above what the dependencies support" in text]
    assert "would have missed it" in warning


def test_its_preview_says_when_the_budget_is_spent_from_the_start(moody: Service, owner: Actor) -> None:
    status.refresh()
    seen = preview("slos.modify", change(moody, target=0.9995), actor=owner)
    assert any("spent from the first day" in warning for warning in seen.warnings)


def test_its_preview_names_the_tier_it_exceeds(moody: Service, owner: Actor) -> None:
    seen = preview("slos.modify", change(moody, target=0.99999), actor=owner)
    assert any("Harder than the aggressive tier" in warning for warning in seen.warnings)


def test_its_preview_is_quiet_where_nothing_speaks_against_it(checkout: Service, owner: Actor) -> None:
    assert preview("slos.modify", change(checkout, target=0.9), actor=owner).warnings == []


def test_its_preview_names_the_slo_upstream_that_breaks(checkout: Service, owner: Actor, shop: Team) -> None:
    web = make_service("web", team=shop)
    make_edge(web, checkout)
    make_hours(web, fails=steady(0.0006))
    compute(web)
    status.refresh()
    dispatch(
        "slos.set",
        {"service_id": "web", "sli_type": "availability", "target": 0.999, "rationale": "contract"},
        actor=owner,
    )
    seen = preview("slos.modify", change(checkout, target=0.99), actor=owner)
    assert any("1 SLO upstream could not be kept with it: web" in text for text in seen.warnings)


def test_latency_windows_are_counted_from_the_histograms(checkout: Service) -> None:
    missed, of = risk.missed_before(checkout, "latency_p95", 0.95, 80, "requests", 28)
    assert of > 0
    assert missed == of
    assert risk.missed_before(checkout, "latency_p95", 0.95, 400, "requests", 28) == (0, of)


def test_latency_bins_are_counted_where_there_are_no_histograms(shop: Team, owner: Actor) -> None:
    from apps.telemetry.models import SliHour

    service = make_service("binned", team=shop)
    make_hours(service, days=40)
    SliHour.objects.filter(service=service).update(p95_ms=[100.0, 120.0, 400.0, 90.0], p99_ms=[300.0] * 4)
    compute(service)
    recommendation = current(service, "latency_p95")
    assert recommendation.document["basis"] == "bins"
    dispatch("slos.modify", change(service, sli_type="latency_p95", threshold_ms=200), actor=owner)
    slo = ActiveSlo.objects.get(service=service)
    assert (slo.basis, float(slo.target)) == ("bins", 0.95)
    missed, of = risk.missed_before(service, "latency_p95", 0.95, 200, "bins", 28)
    assert (missed, of) == (1, 1)
