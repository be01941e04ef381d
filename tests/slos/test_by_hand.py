"""SLOs without a recommendation: set, edited, retired."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from apps.core.models import AuditEntry, OutboxEvent
from apps.slos.formatting import slo_snapshot, snapshot_words
from apps.slos.models import ActiveSlo
from apps.slos.presenting.addresses import typed
from tests.slos.conftest import acting, make_service, make_user

WHY = {"rationale": "The contract of 2026 says so."}


@pytest.fixture
def cart(shop: Team) -> Service:
    return make_service("cart", team=shop)


def about(service: Service, sli_type: str = "availability", **more: Any) -> dict[str, Any]:
    return {"service_id": service.service_id, "sli_type": sli_type, **WHY, **more}


@pytest.mark.parametrize(
    ("sli_type", "value", "text"),
    [("availability", 0.9995512, "99.95512"), ("availability", 0.9, "90"), ("latency_p95", 250.5, "250.5")],
)
def test_a_form_opens_with_a_number_to_its_last_digit(sli_type: str, value: float, text: str) -> None:
    assert typed(sli_type, value, as_written=True) == text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("manual", "99.95512\u202f% over 28 days"),
        ("modified", "99.95512\u202f% over 28 days"),
        ("accepted", "99.955\u202f% over 28 days"),
    ],
)
def test_a_record_shows_every_digit_that_somebody_wrote(source: str, words: str) -> None:
    snapshot = {"sli_type": "availability", "target": 0.9995512, "window_days": 28, "source": source}
    assert snapshot_words(snapshot).startswith(words)


def test_set_makes_an_slo_without_a_recommendation(cart: Service, owner: Actor) -> None:
    dispatch("slos.set", about(cart, target=0.995, window_days=30), actor=owner)
    slo = ActiveSlo.objects.get()
    snapshot = slo_snapshot(slo)
    assert snapshot is not None
    assert snapshot["recommendation_id"] is None
    assert (float(slo.target), slo.window_days, slo.source, slo.recommendation) == (0.995, 30, "manual", None)


def test_set_takes_a_latency_threshold(cart: Service, owner: Actor) -> None:
    dispatch("slos.set", about(cart, "latency_p99", threshold_ms=800), actor=owner)
    slo = ActiveSlo.objects.get()
    assert (slo.threshold_ms, float(slo.target), slo.window_days) == (800, 0.95, 28)
    assert slo.basis == "bins"


def test_set_refuses_a_second_slo_of_the_same_kind(cart: Service, owner: Actor) -> None:
    dispatch("slos.set", about(cart, target=0.995), actor=owner)
    with pytest.raises(Conflict, match="Edit that one") as refusal:
        dispatch("slos.set", about(cart, target=0.99), actor=owner)
    assert refusal.value.extra["version"] == 1
    assert refusal.value.extra["difference"][0]["after"] == "99.5\u202f% over 28 days"


def test_edit_ends_one_slo_and_begins_another(cart: Service, owner: Actor) -> None:
    dispatch("slos.set", about(cart, target=0.995, window_days=30), actor=owner)
    dispatch("slos.edit", about(cart, target=0.999, expected_version=1), actor=owner)
    old, new = ActiveSlo.objects.order_by("version")
    assert old.ended_at is not None
    assert (float(new.target), new.window_days, new.version, new.source) == (0.999, 30, 2, "manual")
    entry = AuditEntry.objects.get(action="slos.edit")
    assert entry.before is not None
    assert entry.after is not None
    assert (entry.before["target"], entry.after["target"]) == (0.995, 0.999)
    assert OutboxEvent.objects.filter(topic="slos.slo_changed").latest("id").payload["kind"] == "edited"


def test_edit_needs_the_version_that_was_seen(cart: Service, owner: Actor) -> None:
    dispatch("slos.set", about(cart, target=0.995), actor=owner)
    with pytest.raises(InvalidInput):
        dispatch("slos.edit", about(cart, target=0.999), actor=owner)
    dispatch("slos.edit", about(cart, target=0.998, expected_version=1), actor=owner)
    with pytest.raises(Conflict) as refusal:
        dispatch("slos.edit", about(cart, target=0.999, expected_version=1), actor=owner)
    rows = {row["label"]: row for row in refusal.value.extra["difference"]}
    assert (rows["SLO"]["before"], rows["SLO"]["after"]) == (
        "99.5\u202f% over 28 days",
        "99.8\u202f% over 28 days",
    )


def test_edit_needs_something_to_edit(cart: Service, owner: Actor) -> None:
    with pytest.raises(NotFound, match="Set one first"):
        dispatch("slos.edit", about(cart, target=0.999, expected_version=0), actor=owner)


def test_retire_leaves_the_history(cart: Service, owner: Actor) -> None:
    dispatch("slos.set", about(cart, target=0.995), actor=owner)
    dispatch("slos.retire", about(cart, expected_version=1), actor=owner)
    slo = ActiveSlo.objects.get()
    assert slo.ended_at is not None
    entry = AuditEntry.objects.get(action="slos.retire")
    assert entry.after is None
    assert entry.rationale == WHY["rationale"]


def test_an_slo_after_a_retired_one_has_a_new_version(cart: Service, owner: Actor) -> None:
    dispatch("slos.set", about(cart, target=0.995), actor=owner)
    dispatch("slos.retire", about(cart, expected_version=1), actor=owner)
    dispatch("slos.set", about(cart, target=0.995, expected_version=0), actor=owner)
    assert ActiveSlo.objects.get(ended_at__isnull=True).version == 2
    with pytest.raises(Conflict):
        dispatch("slos.retire", about(cart, expected_version=1), actor=owner)


@pytest.mark.parametrize("verb", ["set", "edit", "retire"])
@pytest.mark.parametrize("role", ["viewer", "auditor", "service_owner"])
def test_it_rejects_who_may_not_decide(cart: Service, owner: Actor, shop: Team, verb: str, role: str) -> None:
    teams = [shop] if role != "service_owner" else [Team.objects.create(name="payments")]
    stranger = acting(make_user("otto", role, *teams))
    if verb != "set":
        dispatch("slos.set", about(cart, target=0.995), actor=owner)
    numbers: dict[str, Any] = {"set": {"target": 0.9}, "edit": {"target": 0.9, "expected_version": 1}}.get(
        verb, {"expected_version": 1}
    )
    with pytest.raises(NotAllowed):
        dispatch(f"slos.{verb}", about(cart, **numbers), actor=stranger)
    assert ActiveSlo.objects.filter(ended_at__isnull=True).count() == (verb != "set")


@pytest.mark.parametrize("verb", ["set", "edit", "retire"])
def test_it_asks_for_a_reason(cart: Service, owner: Actor, verb: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch(f"slos.{verb}", about(cart, rationale=" ", target=0.9, expected_version=1), actor=owner)
    assert "rationale" in {field.path for field in refusal.value.fields}


def test_previews_change_nothing(cart: Service, owner: Actor) -> None:
    assert preview("slos.set", about(cart, target=0.995), actor=owner).changes[0].after.startswith("99.5")
    assert not ActiveSlo.objects.exists()
    dispatch("slos.set", about(cart, target=0.995), actor=owner)
    seen = preview("slos.edit", about(cart, target=0.999, expected_version=1), actor=owner)
    assert seen.changes[0].before.startswith("99.5")
    assert [change.after for change in seen.changes[1:]] == ["1 in 1,000"]
    seen = preview("slos.retire", about(cart, expected_version=1), actor=owner)
    assert seen.changes[0].after == "none"
    assert ActiveSlo.objects.get().version == 1
