"""From the moment of a decision no page, list or answer shows the new SLO with figures of the one before."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core import dispatcher, instants
from apps.core.actions import Actor
from apps.slos import queries
from apps.slos.models import ActiveSlo, ServiceStatus
from apps.slos.objectives import status
from apps.slos.objectives.questions import due_reasons
from tests.pages import HTMX, client_of, filled, links, text_of
from tests.slos.conftest import compute, current, make_hours, make_service

DECISIONS = ("accept", "modify", "set", "edit", "retire", "reject")


@pytest.fixture
def shop(db: None) -> Team:
    return Team.objects.create(name="shop")


@pytest.fixture
def checkout(shop: Team) -> Service:
    service = make_service("checkout", team=shop)
    make_hours(service, days=60)
    compute(service)
    status.refresh([service.pk])
    return service


@pytest.fixture
def owner(shop: Team, checkout: Service) -> Client:
    return client_of("service_owner", shop)


def decide(service: Service, decision: str) -> None:
    slo = ActiveSlo.objects.filter(service=service, sli_type="availability", ended_at=None).first()
    base: dict[str, Any] = {"service_id": service.service_id, "sli_type": "availability"}
    version = {"expected_version": slo.version if slo else 0}
    extra: dict[str, dict[str, Any]] = {
        "accept": {"tier": "conservative", "recommendation_id": str(current(service).pk)},
        "modify": {"target": 0.97, "recommendation_id": str(current(service).pk), "rationale": "so"},
        "reject": {"recommendation_id": str(current(service).pk), "rationale": "so"},
        "set": {"target": 0.98, "rationale": "so"} | version,
        "edit": {"target": 0.96, "rationale": "so"} | version,
        "retire": {"rationale": "so"} | version,
    }
    dispatcher.dispatch(f"slos.{decision}", base | extra[decision], actor=Actor.system("test"))


@pytest.mark.parametrize("decision", DECISIONS)
def test_the_status_never_holds_figures_of_another_slo(checkout: Service, decision: str) -> None:
    if decision in ("edit", "retire"):
        decide(checkout, "accept")
        compute(checkout)
        status.refresh([checkout.pk])
    before = ServiceStatus.objects.get()
    decide(checkout, decision)
    now = ServiceStatus.objects.get()
    slo = ActiveSlo.objects.filter(ended_at=None).first()
    assert now.target == (float(slo.target) if slo else None)
    if decision == "reject":
        assert (now.state, now.budget_left) == (before.state, before.budget_left)
    else:
        assert now.state == "counting"
        figures = [now.budget_left, now.burn_1h, now.burn_6h, now.burn_1d, now.burn_3d, now.exhausted_at]
        assert figures == [None] * 6
    assert now.due_sli_types == [one.sli_type for one in due_reasons([checkout.pk]).get(checkout.pk, [])]
    status.refresh()  # What a worker does when it hears of it, and the hourly pass where it never heard.
    counted = ServiceStatus.objects.get()
    assert counted.state != "counting"
    assert (counted.budget_left is None) == (slo is None)


def test_a_count_that_began_before_the_decision_does_not_overwrite_it(checkout: Service) -> None:
    began = instants.now()
    decide(checkout, "accept")
    status.refresh([checkout.pk], now=began)  # It read the hours before, and stores only now.
    assert ServiceStatus.objects.get().state == "counting"


def test_what_waits_for_a_person_is_one_less_at_once(owner: Client, checkout: Service) -> None:
    assert queries.overview().decisions_count == 1
    decide(checkout, "accept")
    assert queries.overview().decisions_count == 0
    assert "waiting for you" not in text_of(owner.get("/-/frame/?of=/services/"))


def test_the_page_says_that_it_counts_and_looks_again_until_it_has(owner: Client, checkout: Service) -> None:
    decide(checkout, "set")
    compute(checkout)
    page = owner.get("/services/checkout/")
    words = text_of(page)
    assert "being counted" in words
    (look,) = [one for one in look_urls(page) if "awaiting" in one]
    assert owner.get(look, headers=HTMX).status_code == 204
    status.refresh()
    drawn = owner.get(look, headers=HTMX)
    assert drawn.status_code == 200
    assert "being counted" not in text_of(drawn)


def look_urls(response: Any) -> list[str]:

    body = response.content.decode()
    return [html.unescape(one) for one in re.findall(r'hx-get="([^"]+)" hx-trigger="every 2s"', body)]


@pytest.mark.parametrize("address", ["/services/", "/slos/"])
def test_a_list_says_so_and_fills_itself(owner: Client, checkout: Service, address: str) -> None:
    decide(checkout, "set")
    page = owner.get(f"{address}?q=check")
    assert "being counted" in text_of(page)
    assert look_urls(page) == [f"{address}?q=check"]
    status.refresh()
    again = owner.get(f"{address}?q=check", headers=HTMX)
    assert "being counted" not in text_of(again)
    assert look_urls(again) == []


def test_the_api_shows_no_old_figures_either(owner: Client, checkout: Service) -> None:
    decide(checkout, "accept")
    compute(checkout)
    status.refresh()
    assert owner.get("/api/v1/slos?service=checkout").json()["items"][0]["budget_left"] is not None
    decide(checkout, "edit")
    (found,) = [one for one in owner.get("/api/v1/slos").json()["items"] if one["service_id"] == "checkout"]
    assert found["budget_left"] is None
    assert found["state"] == "counting"


def test_after_deleting_what_a_page_is_about_one_goes_on_to_the_list(
    owner: Client, checkout: Service
) -> None:
    page = owner.get(reverse("service", args=["checkout"]))
    link = next(one for one in links(page, "/actions/slos.set/") if "availability" in one)
    data = filled(owner, link, target="99.5", rationale="so") | {"next": "/services/"}
    response = owner.post("/actions/slos.set/", data, headers=HTMX)
    assert json.loads(response["HX-Trigger"])["ballast:done"]["next"] == "/services/"


def test_the_frame_marks_the_page_that_asked(owner: Client) -> None:
    body = owner.get("/-/frame/?of=/services/").content.decode()
    assert body.count('aria-current="page"') == 2  # The rail at the side and the one in the menu.
    assert 'id="standing" hx-swap-oob="true"' in body
