"""A service of which every request counts as failed: there is no target to keep, and every page says why."""

from __future__ import annotations

from typing import get_args

import pytest
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import InvalidInput
from apps.engine import document as types
from apps.slos.lists.recommendations import VERDICT_WORDS
from apps.slos.models import ActiveSlo
from apps.slos.presenting.tiers import VERDICTS
from tests.pages import client_of, text_of
from tests.slos.conftest import compute, current, make_hours, make_service


def every_request(ago: int) -> float:
    """Undoes the noise of :func:`make_hours`: each hour fails as a whole."""
    return 1 / (1 + ((ago * 37) % 11 - 5) / 25)


@pytest.fixture
def ledger(shop: Team) -> Service:
    service = make_service("ledger", team=shop)
    make_hours(service, days=35, per_hour=1_200, fails=every_request)
    compute(service)
    return service


def test_every_verdict_of_the_engine_has_words_on_every_page() -> None:
    verdicts = set(get_args(types.Verdict))
    assert verdicts == set(VERDICTS) == set(VERDICT_WORDS)


def test_it_has_a_reason_and_no_number(ledger: Service) -> None:
    found = current(ledger)
    assert found.verdict == "nothing_kept"
    assert (found.conservative, found.balanced, found.aggressive) == (None, None, None)
    assert found.document["reason"] == (
        "All 1,008,000 requests of ledger in 35 days count as failed: no target can be recommended. If that is wrong, "
        "its query for failures selects every request."
    )


def test_accepting_is_refused_with_what_was_counted(ledger: Service, owner: Actor) -> None:
    data = {
        "service_id": "ledger",
        "sli_type": "availability",
        "tier": "conservative",
        "recommendation_id": str(current(ledger).pk),
    }
    with pytest.raises(
        InvalidInput, match="no number to decide on: All 1,008,000 requests of ledger"
    ) as refusal:
        dispatch("slos.accept", data, actor=owner)
    assert "budget" not in str(refusal.value)
    assert not ActiveSlo.objects.exists()


def test_a_target_that_rounds_to_nothing_asks_for_nothing(checkout: Service, owner: Actor) -> None:
    recommendation = current(checkout)
    recommendation.document["tiers"]["conservative"]["target"] = 0.0
    recommendation.conservative = 0.0
    recommendation.save()
    data = {
        "service_id": "checkout",
        "sli_type": "availability",
        "tier": "conservative",
        "recommendation_id": str(recommendation.pk),
    }
    with pytest.raises(InvalidInput, match="A target must lie between") as refusal:
        dispatch("slos.accept", data, actor=owner)
    assert "rounds to 0, which asks for nothing" in str(refusal.value.fields[0])


def test_its_page_says_so_and_what_to_look_at(ledger: Service) -> None:
    words = text_of(client_of("sre_admin").get(reverse("service", args=["ledger"])))
    assert "All 1,008,000 requests of ledger in 35 days count as failed" in words
    assert "Check what its source counts as failures" in words
    assert "no number: every request counts as failed, or nearly" in words
    assert "What was counted leaves no target to keep." in words
    assert "Accept" not in words


def test_the_list_finds_it(ledger: Service) -> None:
    response = client_of("sre_admin").get(
        reverse("recommendations"), {"due": "all", "verdict": "nothing_kept", "sli": "availability"}
    )
    assert "ledger" in text_of(response)
    assert "nothing kept" in text_of(response)
