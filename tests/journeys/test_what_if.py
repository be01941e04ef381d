"""Trying steps on a service: as the engine says without any, moved by each, with no trace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.models import AuditEntry, OutboxEvent
from apps.journeys.documents import StepAsked
from apps.journeys.what_if import trial
from apps.slos.models import Recommendation
from apps.telemetry.series import Buckets
from tests.slos.conftest import compute, full_hour, make_edge, make_hours, make_latency, make_service


def step(kind: str, target: str, value: float) -> StepAsked:
    return {"kind": kind, "target_id": target, "value": value}


def try_on(fleet: dict[str, Service], *steps: StepAsked) -> Any:
    return trial.answer(fleet["web"].pk, steps)


def balanced(level: dict[str, Any]) -> float:
    return float(level["tiers"]["balanced"]["target"])


def test_without_steps_it_says_what_the_recommendation_says(fleet: dict[str, Service]) -> None:
    found = try_on(fleet)
    stored = Recommendation.objects.get(service=fleet["web"], sli_type="availability").document
    for name, tier in stored["tiers"].items():
        assert found["before"]["tiers"][name]["target"] == tier["target"]
        assert found["before"]["tiers"][name]["interval"] == tier["interval"]
    assert found["before"]["composite"] == stored["composite"]["point"]
    assert found["after"] == found["before"]
    assert found["steps"] == []


def stored_with_target(fleet: dict[str, Service], target: float, **values: Any) -> float:
    """Let the stored recommendation say another balanced target than the engine's; returns the engine's."""
    rows = Recommendation.objects.filter(service=fleet["web"], sli_type="availability")
    document = rows.get().document
    made = float(document["tiers"]["balanced"]["target"])
    document["tiers"]["balanced"]["target"] = target
    rows.update(document=document, **values)
    return made


def test_it_starts_from_the_stored_recommendation_while_that_holds(fleet: dict[str, Service]) -> None:
    stored_with_target(fleet, 0.9971)
    assert balanced(try_on(fleet)["before"]) == 0.9971


@pytest.mark.parametrize("status", ["current", "superseded"])
def test_it_starts_from_a_new_run_where_the_stored_recommendation_no_longer_holds(
    fleet: dict[str, Service], status: str
) -> None:
    expires_at = timezone.now() + timedelta(hours=1 if status == "superseded" else -1)
    made = stored_with_target(fleet, 0.9971, status=status, expires_at=expires_at)
    assert balanced(try_on(fleet)["before"]) == made


def test_the_same_steps_give_the_same_answer_again(fleet: dict[str, Service]) -> None:
    steps = step("fallback", "pay", 0.5), step("retry", "db", 1)
    assert try_on(fleet, *steps) == try_on(fleet, *steps)


def test_steps_that_help_lift_tiers_and_composite_one_after_the_other(fleet: dict[str, Service]) -> None:
    found = try_on(
        fleet, step("fallback", "pay", 0.9), step("target", "db", 0.99999), step("replica", "web", 1)
    )
    ladder = [found["before"], *found["steps"]]
    targets = [balanced(level) for level in ladder]
    composites = [level["composite"] for level in ladder]
    assert targets == sorted(targets)
    assert targets[-1] > targets[0]
    assert composites == sorted(composites)
    assert len(set(composites)) == 4
    assert found["after"]["tiers"] == found["steps"][-1]["tiers"]
    assert "fewer failures" in found["sentence"]


def test_tiers_stay_in_order_and_within_their_intervals(fleet: dict[str, Service]) -> None:
    tiers = try_on(fleet, step("queue", "pay", 0.9999))["after"]["tiers"]
    assert tiers["conservative"]["target"] <= tiers["balanced"]["target"] <= tiers["aggressive"]["target"]
    for tier in tiers.values():
        assert tier["interval"][0] <= tier["target"] <= tier["interval"][1]


def test_a_retry_says_what_it_costs_in_an_outage(fleet: dict[str, Service]) -> None:
    found = try_on(fleet, step("retry", "pay", 2))
    (load,) = found["after"]["loads"]
    assert (load["target_id"], load["in_outage"]) == ("pay", 3.0)
    assert any("3 while it is down" in text for text in found["steps"][0]["told"])


def test_a_timeout_counts_the_slow_answers_that_it_cuts(fleet: dict[str, Service]) -> None:
    found = try_on(fleet, step("timeout", "pay", 250))
    assert balanced(found["after"]) < balanced(found["before"])
    assert any("more requests in a million" in text for text in found["steps"][0]["told"])
    harmless = try_on(fleet, step("timeout", "pay", 60_000))
    assert balanced(harmless["after"]) == balanced(harmless["before"])


def test_a_queue_is_described_as_one(fleet: dict[str, Service]) -> None:
    (found,) = try_on(fleet, step("queue", "pay", 0.9999))["steps"]
    assert "delays work but fails no request" in " ".join(found["told"])


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (step("fallback", "nobody", 0.9), "does not call nobody"),
        (step("timeout", "db", 100), "no latency histogram"),
        (step("target", "nobody", 0.9), "does not depend on nobody"),
    ],
)
def test_a_step_that_does_not_fit_is_named_by_its_place(
    fleet: dict[str, Service], wanted: StepAsked, words: str
) -> None:
    found = try_on(fleet, step("retry", "pay", 1), wanted)
    assert (found["state"], found["step"]) == ("impossible", 1)
    assert words in found["detail"]


def test_a_service_without_data_has_no_number_but_an_answer(fleet: dict[str, Service]) -> None:
    new = make_service("new")
    make_edge(new, fleet["pay"])
    found = trial.answer(new.pk, [step("fallback", "pay", 0.9)])
    assert found["state"] == "done"
    assert found["before"]["tiers"] is None
    assert found["reason"]


def test_it_leaves_no_trace(fleet: dict[str, Service]) -> None:
    def count() -> tuple[int, ...]:
        return AuditEntry.objects.count(), OutboxEvent.objects.count(), Recommendation.objects.count()

    before = count()
    try_on(fleet, step("fallback", "pay", 0.9))
    assert count() == before


def test_a_timeout_reads_the_answers_of_the_services_own_time(shop: Team) -> None:
    """History of last year, loaded today."""
    end = full_hour() - timedelta(days=300)
    web, pay = make_service("web", team=shop), make_service("pay", team=shop)
    for service in (web, pay):
        make_hours(service, end=end)
    make_latency(pay, end=end)
    make_edge(web, pay, calls_per_request=0.9)
    for is_computed in (False, True):
        if is_computed:
            compute(web, pay, as_of=end)
        found = trial.answer(web.pk, [step("timeout", "pay", 250)])
        assert found["state"] == "done", found
        assert found["as_of"] == end.isoformat().replace("+00:00", "Z")
        if is_computed:
            after, before = found["after"]["composite"], found["before"]["composite"]
            assert after is not None
            assert before is not None
            assert after < before


def test_slow_answers_are_read_from_the_histogram() -> None:
    import numpy as np

    found = Buckets(
        0, 3600, np.array([50.0, 100.0, np.inf]), np.array([[40.0, 90.0, 100.0], [40.0, 90.0, 100.0]])
    )
    assert trial.slower_share(found, 100) == pytest.approx(0.1)
    assert trial.slower_share(found, 75) == pytest.approx(0.35)
    assert trial.slower_share(found, 25) == pytest.approx(0.8)
    assert trial.slower_share(found, 5000) == pytest.approx(0.1)
