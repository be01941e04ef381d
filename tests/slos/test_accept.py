"""Accepting a tier: what becomes true with it, and who may not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from apps.core.models import AuditEntry, OutboxEvent
from apps.slos.formatting import TIERS, tier_number
from apps.slos.impact.risk import tier_warning
from apps.slos.models import ActiveSlo, Recommendation
from tests.slos.conftest import acting, compute, current, make_edge, make_service, make_user


def decision(
    service: Service, sli_type: str = "availability", tier: str = "balanced", **more: object
) -> dict[str, object]:
    return {
        "service_id": service.service_id,
        "sli_type": sli_type,
        "tier": tier,
        "recommendation_id": str(current(service, sli_type).pk),
        **more,
    }


def test_it_makes_the_tier_the_slo(checkout: Service, owner: Actor) -> None:
    recommendation = current(checkout)
    result = dispatch("slos.accept", decision(checkout), actor=owner)
    slo = ActiveSlo.objects.get(service=checkout)
    assert float(slo.target) == pytest.approx(tier_number(recommendation, "balanced"), abs=1e-9)
    assert (slo.sli_type, slo.source, slo.tier, slo.version) == ("availability", "accepted", "balanced", 1)
    assert slo.recommendation_id == recommendation.pk
    assert slo.started_by_name == "olga"
    assert slo.ended_at is None
    assert result.value["slo"]["id"] == str(slo.pk)
    assert result.value["slo"]["recommendation_id"] == str(recommendation.pk)
    recommendation.refresh_from_db()
    assert (recommendation.status, recommendation.version) == ("accepted", 2)
    assert recommendation.decided_by == owner.user


def test_it_leaves_an_audit_entry_with_before_and_after(checkout: Service, owner: Actor) -> None:
    dispatch("slos.accept", decision(checkout, rationale="good enough"), actor=owner)
    entry = AuditEntry.objects.get(action="slos.accept")
    assert entry.actor == owner.user
    assert entry.service_id == "checkout"
    assert entry.before is None
    assert entry.after is not None
    assert entry.after["tier"] == "balanced"
    assert entry.rationale == "good enough"


def test_it_tells_of_the_decision_and_the_change(checkout: Service, owner: Actor) -> None:
    dispatch("slos.accept", decision(checkout), actor=owner)
    topics = OutboxEvent.objects.filter(aggregate=f"service:{checkout.pk}").values_list("topic", flat=True)
    assert sorted(topics) == ["slos.recommendation_decided", "slos.slo_changed"]


def test_it_ends_the_slo_before_and_supersedes_what_it_rested_on(checkout: Service, owner: Actor) -> None:
    dispatch("slos.accept", decision(checkout, tier="conservative"), actor=owner)
    first = ActiveSlo.objects.get(service=checkout)
    compute(checkout)
    dispatch("slos.accept", decision(checkout, tier="aggressive", expected_version=1), actor=owner)
    first.refresh_from_db()
    second = ActiveSlo.objects.get(service=checkout, ended_at__isnull=True)
    assert first.ended_at is not None
    assert second.version == 2
    assert second.target > first.target
    assert first.recommendation is not None
    assert first.recommendation.status == "superseded"
    before = AuditEntry.objects.filter(action="slos.accept").latest("id").before
    assert before is not None
    assert before["version"] == 1


def test_it_decides_availability_and_latency_separately(checkout: Service, owner: Actor) -> None:
    p95 = current(checkout, "latency_p95")
    dispatch("slos.accept", decision(checkout, "latency_p95", "conservative"), actor=owner)
    slo = ActiveSlo.objects.get(service=checkout)
    assert slo.threshold_ms == tier_number(p95, "conservative")
    assert float(slo.target) == 0.95
    assert slo.basis == "requests"
    assert current(checkout).status == "current"
    assert current(checkout, "latency_p99").status == "current"


def test_it_refuses_a_recommendation_that_was_replaced_and_says_what_holds_now(
    checkout: Service, owner: Actor
) -> None:
    stale = decision(checkout)
    old = current(checkout)
    compute(checkout)
    now = current(checkout)
    now.document["tiers"]["balanced"]["target"] = 0.9912
    now.save()
    with pytest.raises(Conflict, match=r"replaced by a newer one\. Decide on the current one\.") as refusal:
        dispatch("slos.accept", stale, actor=owner)
    assert (refusal.value.extra["seen"], refusal.value.extra["current"]) == (str(old.pk), str(now.pk))
    rows = {row["label"]: row for row in refusal.value.extra["difference"]}
    assert rows["Recommendation you saw"]["after"] == "superseded"
    assert rows["Balanced"]["after"] == "99.12\u202f%"
    assert rows["Balanced"]["before"].startswith(f"{(tier_number(old, 'balanced') or 0) * 100:.2f}"[:4])
    assert not ActiveSlo.objects.exists()


def test_it_refuses_one_that_has_expired(checkout: Service, owner: Actor) -> None:
    Recommendation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Conflict, match=r"has expired\. Regenerate it first"):
        dispatch("slos.accept", decision(checkout), actor=owner)


def test_it_refuses_when_the_slo_changed_since(checkout: Service, owner: Actor, admin: Actor) -> None:
    data = decision(checkout, expected_version=0)
    dispatch(
        "slos.set",
        {"service_id": "checkout", "sli_type": "availability", "target": 0.99, "rationale": "contract"},
        actor=admin,
    )
    with pytest.raises(Conflict, match="at version 1; you saw version 0") as refusal:
        dispatch("slos.accept", data, actor=owner)
    rows = {row["label"]: row for row in refusal.value.extra["difference"]}
    assert (rows["SLO"]["before"], rows["SLO"]["after"]) == ("none", "99\u202f% over 28 days")
    assert rows["Decided by"]["after"].startswith("sam")


def test_it_refuses_what_has_no_number(shop: Team, owner: Actor) -> None:
    service = make_service("silent", team=shop)
    compute(service)
    assert current(service).verdict == "no_data" or current(service).balanced is None
    with pytest.raises(InvalidInput, match="no number to decide on"):
        dispatch("slos.accept", decision(service), actor=owner)


def test_it_refuses_a_recommendation_of_another_service(checkout: Service, owner: Actor, shop: Team) -> None:
    other = make_service("cart", team=shop)
    with pytest.raises(NotFound, match=r"There is no availability recommendation .* for cart"):
        dispatch("slos.accept", {**decision(checkout), "service_id": other.service_id}, actor=owner)


def test_it_names_the_tier_it_does_not_know(checkout: Service, owner: Actor) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch("slos.accept", decision(checkout, tier="bold"), actor=owner)
    assert refusal.value.fields[0].path == "tier"


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_it_rejects_who_only_reads(checkout: Service, shop: Team, role: str) -> None:
    reader = acting(make_user("rita", role, shop))
    with pytest.raises(NotAllowed, match="owner of the service"):
        dispatch("slos.accept", decision(checkout), actor=reader)
    assert not ActiveSlo.objects.exists()


def test_it_rejects_an_owner_of_another_team(checkout: Service) -> None:
    stranger = acting(make_user("otto", "service_owner", Team.objects.create(name="payments")))
    with pytest.raises(NotAllowed, match="team shop"):
        dispatch("slos.accept", decision(checkout), actor=stranger)


def test_it_lets_an_admin_decide_on_any_service(checkout: Service, admin: Actor) -> None:
    dispatch("slos.accept", decision(checkout), actor=admin)
    assert ActiveSlo.objects.filter(service=checkout).exists()


def test_its_preview_says_what_changes_and_leaves_no_trace(
    checkout: Service, owner: Actor, shop: Team
) -> None:
    web = make_service("web", team=shop)
    make_edge(web, checkout)
    dispatch(
        "slos.set",
        {"service_id": "web", "sli_type": "availability", "target": 0.9, "rationale": "contract"},
        actor=owner,
    )
    entries = AuditEntry.objects.count()
    seen = preview("slos.accept", decision(checkout), actor=owner)
    assert seen.changes[0].before == "none"
    assert seen.changes[0].after.endswith("over 28 days")
    assert (seen.touches[0].count, list(seen.touches[0].names)) == (1, ["web"])
    assert seen.undo
    assert AuditEntry.objects.count() == entries
    assert not ActiveSlo.objects.filter(service=checkout).exists()


def test_its_preview_asks_for_the_same_permission(checkout: Service) -> None:
    with pytest.raises(NotAllowed):
        preview("slos.accept", decision(checkout), actor=acting(make_user("vera", "viewer")))


def test_the_same_key_gives_the_same_answer_and_one_slo(checkout: Service, owner: Actor) -> None:
    data = decision(checkout)
    first = dispatch("slos.accept", data, actor=owner, idempotency_key="k1")
    second = dispatch("slos.accept", data, actor=owner, idempotency_key="k1")
    assert second.replayed
    assert second.value == first.value
    assert ActiveSlo.objects.filter(service=checkout).count() == 1


@pytest.mark.parametrize("target", [0.9967012345678, 0.9967012340001, 0.99670123499])
def test_the_digits_that_are_not_stored_make_no_other_tier_of_it(checkout: Service, target: float) -> None:
    seen = current(checkout)
    seen.document["tiers"]["balanced"]["target"] = target
    seen.document["tiers"]["aggressive"]["target"] = 0.998
    assert tier_warning(seen, float(round(Decimal(target), 9)), 28) is None
    assert "Between the balanced and the aggressive" in (tier_warning(seen, target + 1e-6, 28) or "")


@pytest.mark.parametrize(
    ("sli_type", "value", "words"),
    [
        ("availability", 0.99, ""),
        ("availability", 0.995, ""),
        (
            "availability",
            0.9951,
            "Between the balanced and the aggressive tier: missed between 1 month in 20 and 1 month in 5.",
        ),
        ("availability", 0.999, "Between the balanced and the aggressive tier: "),
        (
            "availability",
            0.9995,
            "Harder than the aggressive tier, 99.9\u202f%: missed more often than 1 month in 5.",
        ),
        ("latency_p95", 300, ""),
        ("latency_p95", 250, ""),
        ("latency_p95", 240, "Between the balanced and the aggressive tier: "),
        ("latency_p95", 100, "Harder than the aggressive tier, 200"),
    ],
)
def test_a_number_is_placed_among_the_tiers(sli_type: str, value: float, words: str) -> None:
    numbers = (0.99, 0.995, 0.999) if sli_type == "availability" else (300, 250, 200)
    tiers = {name: {"target": number} for name, number in zip(TIERS, numbers, strict=True)}
    recommendation = Recommendation(sli_type=sli_type, window_days=28, document={"tiers": tiers})
    found = tier_warning(recommendation, value, 28)
    assert tier_warning(recommendation, value, 7) is None
    assert (found or "").startswith(words)
    assert bool(found) == bool(words)
