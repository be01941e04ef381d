"""The page of a service: its answer, its evidence, its history, for each role."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries, Settings

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.slos.models import Recommendation
from apps.slos.objectives import status
from tests.pages import HOSTILE_IDS, HTMX, ROLES, client_of, given, links, text_of
from tests.slos.conftest import compute, current, make_edge, make_hours, make_service, steady

QUERIES = 30
"""What a service's page may ask of the database, whatever the service has behind it."""


def page(client: Client, service: Service, **more: Any) -> Any:
    return client.get(reverse("service", args=[service.service_id]), **more)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_it(checkout: Service, role: str) -> None:
    response = page(client_of(role), checkout)
    assert response.status_code == 200
    assert "SLOs it can keep" in text_of(response)


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(checkout: Service, client: Client) -> None:
    response = page(client, checkout)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("login"))


def test_a_service_that_is_not_there_is_a_404(db: None) -> None:
    response = client_of("viewer").get(reverse("service", args=["nobody"]))
    assert response.status_code == 404
    assert "nobody" in text_of(response)


def test_the_three_tiers_stand_first_with_what_each_would_have_cost(checkout: Service) -> None:
    words = text_of(page(client_of("sre_admin"), checkout))
    places = [words.index(name) for name in ("Conservative", "Balanced", "Aggressive", "Availability by day")]
    assert places == sorted(places)
    assert "Missed 1 month in 20" in words
    assert "with 90 % confidence" in words
    assert "a month" in words
    assert "suggested" in words
    assert "The three lie within a millisecond" not in words


def test_latencies_that_have_tiers_need_no_reason(checkout: Service) -> None:
    tiers = current(checkout, "latency_p95").document["tiers"]
    numbers = [tier["target"] for tier in tiers.values()]
    assert max(numbers) - min(numbers) >= 1
    assert page(client_of("viewer"), checkout).context["shown"].latency_reasons == []


def test_how_sure_it_is_and_what_a_chance_means_stand_before_the_first_button(checkout: Service) -> None:
    seen = current(checkout)
    Recommendation.objects.filter(pk=seen.pk).update(
        document=seen.document | {"regime": "steady"}, version=seen.version + 1
    )
    words = text_of(page(client_of("sre_admin"), checkout))
    accept = words.index("Accept 9")
    for evidence in (
        "How sure is this",
        "simulated services that fail at a steady rate",
        "The next 28 days, and the past",
        "Observed, 60 d",
        "What does 5 % mean here?",
        "in which checkout ends below",
        "14,400,000 requests in 60 days.",
        "Would have missed",
    ):
        assert words.index(evidence) < accept, evidence


def test_a_recommendation_without_a_regime_claims_no_calibration(checkout: Service) -> None:
    seen = current(checkout)
    document = {name: value for name, value in seen.document.items() if name != "regime"}
    Recommendation.objects.filter(pk=seen.pk).update(document=document, version=seen.version + 1)
    words = text_of(page(client_of("sre_admin"), checkout))
    assert "How sure is this" in words
    assert "simulated services" not in words


def test_a_service_of_two_days_is_told_as_those_that_are_as_young(shop: Team) -> None:
    service = make_service("newborn", team=shop)
    make_hours(service, days=2)
    compute(service)
    words = text_of(page(client_of("sre_admin"), service))
    assert "simulated services with 1 to 6 days of history" in words
    assert "the tiers allow for what so few days cannot show" in words
    assert "with 7 to 29 days" not in words
    assert "no past window of 28 days can be judged yet" in words


def test_a_service_of_two_weeks_stands_on_its_forecast(shop: Team) -> None:
    service = make_service("youngster", team=shop)
    make_hours(service, days=14)
    compute(service)
    words = text_of(page(client_of("sre_admin"), service))
    assert "simulated services with 7 to 29 days of history" in words
    assert "the tiers allow for what so few days cannot show" in words


def test_an_slo_far_up_is_touched(checkout: Service, admin: Actor, shop: Team) -> None:
    last = checkout
    for name in ("gateway", "app", "edge", "cdn", "site"):
        caller = make_service(name, team=shop)
        make_edge(caller, last)
        last = caller
    assert "No upstream service has an SLO" in text_of(page(client_of("sre_admin"), checkout))
    terms = {"service_id": "site", "sli_type": "availability", "target": 0.99, "rationale": "why"}
    dispatch("slos.set", terms, actor=admin)
    assert "1 service upstream with an SLO: site" in text_of(page(client_of("auditor"), checkout))


def test_a_dialog_sets_an_slo_for_the_installations_window(checkout: Service, settings: Settings) -> None:
    settings.WINDOW_DAYS = 30
    found = links(page(client_of("sre_admin"), checkout), "/actions/slos.set/")
    assert {given(one)["window_days"] for one in found} == {"30"}


def test_a_tier_in_force_is_said_so_and_cannot_be_accepted_again(checkout: Service, admin: Actor) -> None:
    values = {
        "service_id": "checkout",
        "sli_type": "latency_p95",
        "recommendation_id": str(current(checkout, "latency_p95").pk),
        "tier": "balanced",
    }
    dispatch("slos.accept", values, actor=admin)
    compute(checkout)
    found = links(page(client_of("sre_admin"), checkout), "/actions/slos.accept/")
    asked = [given(one)["tier"] for one in found if given(one)["sli_type"] == "latency_p95"]
    assert sorted(asked) == ["aggressive", "conservative"]


def test_an_owner_of_the_service_and_an_admin_may_decide(checkout: Service, shop: Team) -> None:
    for client in (client_of("service_owner", shop), client_of("sre_admin")):
        actions = links(page(client, checkout), "/actions/")
        assert {unquote(address).split("/")[2] for address in actions} >= {
            "slos.accept",
            "slos.modify",
            "slos.reject",
            "slos.set",
            "slos.regenerate",
        }


@pytest.mark.parametrize("role", ["auditor", "viewer"])
def test_who_may_not_decide_sees_no_button_and_who_may(checkout: Service, role: str) -> None:
    response = page(client_of(role), checkout)
    assert links(response, "/actions/") == []
    assert "Only an SRE admin or an owner of the service may decide. It belongs to team shop." in text_of(
        response
    )


def test_an_owner_of_another_team_sees_no_button(checkout: Service) -> None:
    response = page(client_of("service_owner", Team.objects.create(name="risk")), checkout)
    assert links(response, "/actions/") == []


def test_htmx_gets_the_part_alone(checkout: Service) -> None:
    client = client_of("viewer")
    fragment = page(client, checkout, headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert fragment.lstrip().startswith('<div id="service"')
    assert "<html" in page(client, checkout).content.decode()


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_an_id_of_any_characters_has_its_page(db: None, name: str) -> None:
    service = make_service(name)
    client = client_of("sre_admin")
    response = page(client, service)
    assert response.status_code == 200
    assert name in text_of(response) or "<script>" in name
    assert "<script>alert" not in response.content.decode()
    assert "14" not in text_of(response) if "add:7" in name else True
    for address in links(response, "/services/"):
        if not address.startswith("/what-if/"):  # A worker computes that one.
            assert client.get(address).status_code == 200


def test_an_slo_shows_its_budget_and_its_history_in_words(checkout: Service, shop: Team) -> None:
    owner = client_of("service_owner", shop)
    dispatch(
        "slos.set",
        {"service_id": "checkout", "sli_type": "availability", "target": 0.999, "rationale": "contract"},
        actor=Actor.person(owner_of(owner), "web"),  # type: ignore[arg-type]
    )
    status.refresh()
    response = page(owner, checkout)
    words = text_of(response)
    assert "Active SLO 99.9 % over 28 days" in words
    assert "of the budget is left" in words
    assert "Availability 99.9 % over 28 days set by hand by service_owner" in words
    assert "“contract”" in words
    assert "slos.set" not in words
    assert re.search(r"Availability: [\d.,]+ % of the budget is left", words)
    entries = [address for address in links(response, "/audit/") if address != reverse("audit")]
    assert entries
    assert all(owner.get(entry).status_code == 200 for entry in entries)
    assert links(page(client_of("viewer"), checkout), "/audit/") == []


def test_it_shows_no_slo_of_another_service(checkout: Service, admin: Actor, shop: Team) -> None:
    for name, target in (("ledger", 0.97), ("checkout", 0.95)):
        if name != "checkout":
            make_service(name, team=shop)
        dispatch(
            "slos.set",
            {"service_id": name, "sli_type": "availability", "target": target, "rationale": "contract"},
            actor=admin,
        )
    words = text_of(page(client_of("viewer"), checkout))
    assert "Active SLO 95 %" in words
    assert "97 %" not in words


def owner_of(client: Client) -> Any:
    from django.contrib.auth import get_user

    request: Any = type("Request", (), {"session": client.session})()
    return get_user(request)


def test_too_little_traffic_says_so_before_all_else(shop: Team) -> None:
    service = make_service("rare", team=shop)
    make_hours(service, days=40, per_hour=0.05, fails=steady(0))
    compute(service)
    response = page(client_of("sre_admin"), service)
    words = text_of(response)
    assert "no number: not enough traffic" in words
    assert words.index("requests in 28 days") < words.index("Availability by day")
    assert "Accept" not in words


def test_a_new_service_says_that_it_is_new(shop: Team) -> None:
    service = make_service("young", team=shop)
    make_hours(service, days=8)
    compute(service)
    words = text_of(page(client_of("sre_admin"), service))
    assert "little history: low confidence" in words
    assert "8 days of data" in words


def test_an_external_service_stands_on_its_published_sla(db: None) -> None:
    service = make_service("vendor", is_external=True, published_sla="0.999")
    compute(service)
    words = text_of(page(client_of("sre_admin"), service))
    assert "What to expect of it" in words
    assert "Published SLA 99.9 %" in words
    assert "from its published SLA" in words


def test_a_service_without_anything_says_what_will_be_here(db: None) -> None:
    words = text_of(page(client_of("sre_admin"), make_service("bare")))
    assert "No recommendation yet" in words
    assert "No telemetry yet" in words
    assert "No decision yet" in words


def test_an_expired_recommendation_says_how_old_it_is(checkout: Service) -> None:
    Recommendation.objects.filter(service=checkout).update(
        generated_at=timezone.now() - timedelta(hours=30), expires_at=timezone.now() - timedelta(hours=6)
    )
    words = text_of(page(client_of("sre_admin"), checkout))
    assert "These numbers are old" in words
    assert "1 d 6 h ago" in words


def test_a_rejected_recommendation_can_no_longer_be_decided_on(checkout: Service, admin: Actor) -> None:
    seen = current(checkout)
    dispatch(
        "slos.reject",
        {
            "service_id": "checkout",
            "sli_type": "availability",
            "recommendation_id": str(seen.pk),
            "rationale": "the load test counts",
        },
        actor=admin,
    )
    response = page(client_of("sre_admin"), checkout)
    accepts = [address for address in links(response, "/actions/slos.accept/") if "availability" in address]
    assert accepts == []
    assert "Availability recommendation rejected by sam" in text_of(response)
    assert "This recommendation was rejected; a new one is made with the next data." in text_of(response)


def test_dependencies_say_where_each_figure_is_from(checkout: Service) -> None:
    database = make_service("shop-db", team=checkout.team)
    make_hours(database, fails=steady(0.0002))
    make_edge(checkout, database)
    compute(checkout)
    words = text_of(page(client_of("viewer"), checkout))
    assert "Depends on" in words
    assert "shop-db" in words
    assert "assumed" in words


def test_it_asks_the_database_a_fixed_number_of_questions(
    checkout: Service, shop: Team, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of("sre_admin")
    page(client, checkout)
    with django_assert_max_num_queries(QUERIES):
        page(client, checkout)
    for at in range(15):
        make_edge(checkout, make_service(f"dependency-{at}", team=shop))
        make_edge(make_service(f"caller-{at}", team=shop), checkout)
    compute(checkout)
    page(client, checkout)
    with django_assert_max_num_queries(QUERIES):
        page(client, checkout)


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        (steady(0.0005), "fine 50 % of the budget is left; it lasts past the window."),
        (steady(0.01), "budget spent The budget is spent:"),
        (lambda ago: 0.005 if 5 < ago < 60 else 0.0001, "attend Burning"),
    ],
)
def test_it_says_how_the_budget_stands_and_why(
    shop: Team, admin: Actor, fails: Callable[[int], float], words: str
) -> None:
    service = make_service("watched", team=shop)
    make_hours(service, days=35, fails=fails)
    values = {"service_id": "watched", "sli_type": "availability", "target": 0.999, "rationale": "contract"}
    dispatch("slos.set", values, actor=admin)
    status.refresh()
    shown = text_of(page(client_of("viewer"), service)).replace("\u202f", " ")
    assert words in shown
