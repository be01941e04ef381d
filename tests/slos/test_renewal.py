"""A page that was asked for new numbers, or decided on, brings what comes of it by itself."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.slos import queries
from apps.slos.models import Recommendation
from apps.slos.presenting.renewal import RENEWED_WITHIN, renewal
from tests.pages import HTMX, client_of, links, text_of
from tests.slos.conftest import compute, current, make_service


@pytest.fixture
def reader(db: None) -> Client:
    return client_of("sre_admin")


def page(client: Client) -> Any:
    return client.get("/services/checkout/")


def look_url(response: Any) -> str:
    """Where a page looks again for what it awaits; empty where it does not."""
    found = re.search(r'role="status" hx-get="([^"]+)" hx-trigger="every 2s"', response.content.decode())
    return unescape(found[1]) if found else ""


def ask(admin: Actor) -> None:
    dispatch("slos.regenerate", {"service_id": "checkout"}, actor=admin)


def accept(admin: Actor, service: Service) -> Recommendation:
    seen = current(service)
    values = {
        "service_id": service.service_id,
        "sli_type": "availability",
        "recommendation_id": str(seen.pk),
        "tier": "balanced",
    }
    dispatch("slos.accept", values, actor=admin)
    return seen


def test_a_page_that_nobody_asked_anything_of_does_not_look_again(checkout: Service, reader: Client) -> None:
    assert look_url(page(reader)) == ""


def test_it_looks_again_until_the_recommendation_is_newer_than_the_one_shown(
    checkout: Service, reader: Client, admin: Actor
) -> None:
    ask(admin)
    asked = page(reader)
    assert "A worker makes new recommendations. They appear here by themselves" in text_of(asked)
    address = look_url(asked)
    assert reader.get(address, headers=HTMX).status_code == 204
    compute(checkout)
    answer = reader.get(address, headers=HTMX)
    assert answer.status_code == 200
    assert "A worker makes new recommendations" not in text_of(answer)
    assert look_url(answer) == ""


def test_a_person_who_asks_sees_from_when_the_ones_before_are(
    checkout: Service, admin: Actor, shop: Team
) -> None:
    make_service("ledger", team=shop)
    for name, before in (
        ("checkout", f"made {current(checkout).generated_at:%Y-%m-%d %H:%M} UTC"),
        ("ledger", "none"),
    ):
        (change,) = preview("slos.regenerate", {"service_id": name}, actor=admin).changes
        assert (change.before, change.after) == (before, "new")


def test_it_stops_looking_after_a_while_and_says_so(checkout: Service, admin: Actor) -> None:
    ask(admin)
    seen = queries.service_page(checkout)
    late = renewal(seen, now=timezone.now() + RENEWED_WITHIN)
    assert late is not None
    assert not late.is_awaited
    assert "asked for 2\u202fmin ago and are not here yet" in late.words
    first = renewal(seen)
    assert first is not None
    assert first.key != late.key
    assert renewal(seen, now=timezone.now() + timedelta(hours=2)) is None


def test_a_service_without_any_recommendation_looks_for_its_first(
    checkout: Service, reader: Client, admin: Actor
) -> None:
    Recommendation.objects.filter(service=checkout).delete()
    ask(admin)
    address = look_url(page(reader))
    assert reader.get(address, headers=HTMX).status_code == 204
    compute(checkout)
    assert "Balanced" in text_of(reader.get(address, headers=HTMX))


def test_the_tiers_stay_in_sight_while_the_next_ones_are_made(
    checkout: Service, reader: Client, admin: Actor
) -> None:
    accept(admin, checkout)
    response = page(reader)
    body, words = response.content.decode(), text_of(response)
    assert "The decision is taken. A worker makes the next recommendation" in words
    assert 'aria-label="Balanced tier"' in body
    label = re.search(r'aria-label="Balanced tier" data-holds="([^"]+)"', body)
    assert label is not None
    assert body.count(f'data-holds="{label[1]}"') == 2  # The card, and the SLO beside it.
    accepts = [address for address in links(response, "/actions/slos.accept/") if "availability" in address]
    assert accepts == []


def test_a_decision_made_after_the_page_was_drawn_is_drawn(
    checkout: Service, reader: Client, admin: Actor
) -> None:
    ask(admin)
    address = look_url(page(reader))
    accept(admin, checkout)
    assert reader.get(address, headers=HTMX).status_code == 200
