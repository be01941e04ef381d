"""Rejecting a recommendation: the SLO stays, and nobody is asked again until the number moves."""

from __future__ import annotations

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput, NotAllowed
from apps.core.models import AuditEntry, OutboxEvent
from apps.slos.models import ActiveSlo, Recommendation
from apps.slos.objectives import questions
from tests.slos.conftest import acting, compute, current, make_user


def refusal_of(service: Service, **more: object) -> dict[str, object]:
    return {
        "service_id": service.service_id,
        "sli_type": "availability",
        "recommendation_id": str(current(service).pk),
        "rationale": "A migration is under way.",
        **more,
    }


def test_it_closes_the_recommendation_and_sets_no_slo(checkout: Service, owner: Actor) -> None:
    pk = current(checkout).pk
    dispatch("slos.reject", refusal_of(checkout), actor=owner)
    found = Recommendation.objects.get(pk=pk)
    assert (found.status, found.decided_by) == ("rejected", owner.user)
    assert not ActiveSlo.objects.exists()
    assert AuditEntry.objects.get(action="slos.reject").rationale == "A migration is under way."
    assert OutboxEvent.objects.get(topic="slos.recommendation_decided").payload["decision"] == "rejected"


def test_it_asks_for_a_reason(checkout: Service, owner: Actor) -> None:
    with pytest.raises(InvalidInput):
        dispatch("slos.reject", refusal_of(checkout, rationale=""), actor=owner)
    assert current(checkout).status == "current"


def test_it_cannot_be_done_twice(checkout: Service, owner: Actor) -> None:
    data = refusal_of(checkout)
    dispatch("slos.reject", data, actor=owner)
    with pytest.raises(Conflict, match="was rejected by olga"):
        dispatch("slos.reject", data, actor=owner)


def test_nobody_is_asked_again_until_the_number_moves(checkout: Service, owner: Actor) -> None:
    assert "availability" in {due.sli_type for due in questions.due_reasons()[checkout.pk]}
    dispatch("slos.reject", refusal_of(checkout), actor=owner)
    compute(checkout)
    assert "availability" not in {due.sli_type for due in questions.due_reasons()[checkout.pk]}
    now = current(checkout)
    assert now.balanced is not None
    now.balanced = 1 - 2 * (1 - now.balanced)
    now.save()
    assert "availability" in {due.sli_type for due in questions.due_reasons()[checkout.pk]}


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_it_rejects_who_only_reads(checkout: Service, shop: Team, role: str) -> None:
    with pytest.raises(NotAllowed):
        dispatch("slos.reject", refusal_of(checkout), actor=acting(make_user("r", role, shop)))


def test_it_rejects_an_owner_of_another_team(checkout: Service) -> None:
    stranger = acting(make_user("otto", "service_owner", Team.objects.create(name="payments")))
    with pytest.raises(NotAllowed):
        dispatch("slos.reject", refusal_of(checkout), actor=stranger)


def test_its_preview_says_what_stays(checkout: Service, owner: Actor) -> None:
    seen = preview("slos.reject", refusal_of(checkout), actor=owner)
    assert "stays without this SLO" in seen.summary
    assert current(checkout).status == "current"
