"""A decision is on the recommendation that was seen, and nobody regenerates by following a link."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput
from apps.core.models import AuditEntry
from apps.slos.models import ActiveSlo
from tests.api.conftest import key_for, problem
from tests.slos.conftest import acting, compute, current, make_hours, make_service, make_user

pytestmark = pytest.mark.django_db
JSON = "application/json"
DECISIONS: list[tuple[str, dict[str, Any]]] = [
    ("slos.accept", {"tier": "balanced"}),
    ("slos.modify", {"target": 0.99, "rationale": "contract"}),
    ("slos.reject", {"rationale": "no"}),
]


@pytest.fixture
def shop(db: None) -> Team:
    return Team.objects.create(name="shop")


@pytest.fixture
def checkout(shop: Team) -> Service:
    """A service with a recommendation."""
    service = make_service("checkout", team=shop)
    make_hours(service, days=35)
    compute(service)
    return service


@pytest.fixture
def owner(shop: Team) -> Actor:
    return acting(make_user("olga", "service_owner", shop))


def by_program(actor: Actor) -> Actor:
    assert actor.user is not None
    return Actor.person(actor.user, AuditEntry.Source.API)


@pytest.mark.parametrize(("name", "data"), DECISIONS)
def test_a_page_names_what_was_seen(checkout: Service, owner: Actor, name: str, data: dict[str, Any]) -> None:
    values = {"service_id": "checkout", "sli_type": "availability", **data}
    for call in (preview, dispatch):
        with pytest.raises(InvalidInput) as refusal:
            call(name, values, actor=owner)
        assert [field.path for field in refusal.value.fields] == ["recommendation_id"]
    assert not AuditEntry.objects.filter(action=name).exists()
    dispatch(name, values | {"recommendation_id": str(current(checkout).pk)}, actor=owner)
    assert AuditEntry.objects.filter(action=name).count() == 1


@pytest.mark.parametrize(("name", "data"), DECISIONS)
def test_a_program_may_leave_it_out(checkout: Service, owner: Actor, name: str, data: dict[str, Any]) -> None:
    values = {"service_id": "checkout", "sli_type": "availability", **data}
    dispatch(name, values, actor=by_program(owner))
    assert AuditEntry.objects.filter(action=name).count() == 1


@pytest.mark.parametrize(("name", "data"), DECISIONS)
def test_another_one_by_then_is_a_conflict_that_names_both(
    checkout: Service, owner: Actor, name: str, data: dict[str, Any]
) -> None:
    seen = current(checkout)
    compute(checkout)
    now = current(checkout)
    assert now.pk != seen.pk
    values = {"service_id": "checkout", "sli_type": "availability", "recommendation_id": str(seen.pk), **data}
    for actor in (owner, by_program(owner)):
        with pytest.raises(Conflict) as refusal:
            dispatch(name, values, actor=actor)
        assert (refusal.value.extra["seen"], refusal.value.extra["current"]) == (str(seen.pk), str(now.pk))
    assert not ActiveSlo.objects.exists()


def test_every_dialog_of_the_page_names_what_it_shows(checkout: Service, owner: Actor) -> None:
    client = Client()
    assert owner.user is not None
    client.force_login(owner.user)
    page = client.get(reverse("service", args=["checkout"])).content.decode()
    links = [part.split('"')[0] for part in page.split('href="')[1:] if "slos.accept" in part.split('"')[0]]
    assert links
    assert all(f"recommendation_id={current(checkout).pk}" in link for link in links)


def regenerated() -> int:
    return AuditEntry.objects.filter(action="slos.regenerate").count()


@pytest.fixture
def browser(owner: Actor) -> Client:
    """The owner's browser, which sends its session with whatever it is made to load."""
    client = Client(enforce_csrf_checks=True)
    assert owner.user is not None
    client.force_login(owner.user)
    return client


PATH = "/api/v1/services/checkout/slo-recommendations"


@pytest.mark.parametrize(
    "headers", [{}, {"X-CSRFToken": ""}, {"X-CSRFToken": "x" * 32}, {"Referer": "https://elsewhere.example"}]
)
def test_a_link_does_not_regenerate(checkout: Service, browser: Client, headers: dict[str, str]) -> None:
    document = problem(browser.get(PATH, {"force_regenerate": "true"}, headers=headers), 403)
    assert "POST /api/v1/actions/slos.regenerate" in document["detail"]
    assert regenerated() == 0
    assert browser.get(PATH).status_code == 200


def test_a_page_of_ours_may(checkout: Service, browser: Client, without_a_worker: None) -> None:
    browser.get(reverse("service", args=["checkout"]))
    token = browser.cookies["ballast_csrf"].value
    answer = browser.get(PATH, {"force_regenerate": "true"}, headers={"X-CSRFToken": token})
    assert answer.status_code == 200
    assert regenerated() == 1


def test_a_program_with_its_key_may(checkout: Service, owner: Actor, without_a_worker: None) -> None:
    assert owner.user is not None
    headers = {"X-API-Key": key_for(owner.user)}
    answer = Client(enforce_csrf_checks=True).get(PATH, {"force_regenerate": "true"}, headers=headers)
    assert answer.status_code == 200
    assert regenerated() == 1


@pytest.fixture
def without_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for an answer that no worker gives here."""
    from apps.slos import computation

    waiting = computation.wait_for
    monkeypatch.setattr(computation, "wait_for", lambda ticket: waiting(ticket, deadline_seconds=0.05))
