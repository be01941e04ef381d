"""The dialog's button does what was previewed, what it did can be taken back, and nobody fills it in for nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core import actions
from apps.core.models import AuditEntry
from apps.slos.models import ActiveSlo
from apps.ui.forms import fields_for
from tests.pages import HTMX, client_of, filled, hidden, hidden_in, links, text_of
from tests.slos.conftest import compute, make_hours, make_service

MODIFY = "/actions/slos.modify/"


@pytest.fixture
def shop(db: None) -> Team:
    return Team.objects.create(name="shop")


@pytest.fixture
def checkout(shop: Team) -> Service:
    service = make_service("checkout", team=shop)
    make_hours(service, days=60)
    compute(service)
    return service


@pytest.fixture
def owner(shop: Team, checkout: Service) -> Client:
    return client_of("service_owner", shop)


@pytest.fixture
def admin(db: None, settings: Any) -> Client:
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"  # What is asked for here is never carried out.
    return client_of("sre_admin")


def link(client: Client, action: str, *words: str) -> str:
    page = client.get(reverse("service", args=["checkout"]))
    return next(
        one
        for one in links(page, f"/actions/{action}/")
        if "availability" in one and all(word in one for word in words)
    )


def done(response: Any) -> dict[str, Any]:
    assert response.status_code == 204, text_of(response)
    found: dict[str, Any] = json.loads(response["HX-Trigger"])["ballast:done"]
    return found


def take_back(client: Client, said: dict[str, Any]) -> dict[str, Any]:
    """Press Undo in the toast."""
    undo = said["undo"]
    return done(client.post(undo["url"], undo["values"], headers=HTMX))


# ---- the button


def test_a_value_typed_after_the_preview_is_previewed_before_it_is_done(owner: Client) -> None:
    data = filled(owner, link(owner, "slos.modify"), target="99.5", rationale="so")
    late = data | {"target": "99.99"}
    response = owner.post(MODIFY, late, headers=HTMX)
    assert response.status_code == 409
    words = text_of(response)
    assert "Nothing has changed yet" in words
    assert "Set 99.99 %" in words
    assert not ActiveSlo.objects.exists()
    confirmed = late | {"previewed": hidden(response)["previewed"]}
    done(owner.post(MODIFY, confirmed, headers=HTMX))
    assert float(ActiveSlo.objects.get().target) == 0.9999


@pytest.mark.parametrize("previewed", [None, "", "0" * 64])
def test_a_form_without_its_preview_does_nothing(owner: Client, previewed: str | None) -> None:
    data = filled(owner, link(owner, "slos.modify"), target="99.5", rationale="so")
    del data["previewed"]
    response = owner.post(MODIFY, data if previewed is None else data | {"previewed": previewed})
    assert response.status_code == 409
    assert not ActiveSlo.objects.exists()


def test_the_preview_of_another_action_is_no_preview(owner: Client) -> None:
    seen = filled(owner, link(owner, "slos.set"), target="99.5", rationale="so")["previewed"]
    data = filled(owner, link(owner, "slos.modify"), target="99.5", rationale="so")
    assert owner.post(MODIFY, data | {"previewed": seen}, headers=HTMX).status_code == 409


def test_the_reason_can_still_be_written_after_the_preview(owner: Client) -> None:
    data = filled(owner, link(owner, "slos.modify"), target="99.5")
    done(owner.post(MODIFY, data | {"rationale": "The contract says so."}, headers=HTMX))


@given(shown=st.integers(90_000, 99_998), sent=st.integers(90_000, 99_998))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_set_is_what_was_shown(owner: Client, shown: int, sent: int) -> None:
    ActiveSlo.objects.all().delete()
    data = filled(owner, link(owner, "slos.set"), target=f"{shown / 1000}", rationale="so")
    owner.post("/actions/slos.set/", data | {"target": f"{sent / 1000}"}, headers=HTMX)
    found = [float(slo.target) for slo in ActiveSlo.objects.all()]
    assert found == ([pytest.approx(sent / 100_000)] if sent == shown else [])


def as_drawn(body: str) -> dict[str, str]:
    """What a browser sends from a form as it was drawn, with nothing typed."""
    sent = hidden_in(body)
    for tag in re.findall(r'<input type="checkbox"[^>]*>', body):
        if " checked" in tag:
            sent[re.findall(r' name="([^"]+)"', tag)[0]] = "true"
    for name, options in re.findall(r'<select[^>]* name="([^"]+)".*?>(.*?)</select>', body, re.DOTALL):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        sent[name] = chosen[0] if chosen else re.findall(r'<option value="([^"]*)"', options)[0]
    return sent


@pytest.mark.parametrize("name", ["telemetry.backfill", "telemetry.discover", "catalog.retract_dependency"])
def test_a_form_that_is_sent_as_it_was_drawn_was_previewed(admin: Client, name: str) -> None:
    for service_id in ("web", "db"):
        Service.objects.create(service_id=service_id)
    asked = {"source": "web", "target": "db"} if name.startswith("catalog") else {}
    opened = admin.get(f"/actions/{name}/", asked)
    if opened.status_code == 404:  # There is no such dependency; the form is drawn only where there is one.
        return
    answer = admin.post(f"/actions/{name}/", as_drawn(opened.content.decode()), headers=HTMX)
    assert "before these values had been previewed" not in text_of(answer)


def test_what_can_be_switched_on_is_shown(admin: Client) -> None:
    body = admin.get("/actions/telemetry.backfill/").content.decode()
    assert re.search(r'<input type="checkbox"[^>]* name="trust"', body)
    asked = admin.get("/actions/telemetry.backfill/?trust=true").content.decode()
    assert re.search(r'<input type="hidden"[^>]* name="trust" value="true"', asked)


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_what_cannot_be_done_says_why_and_not_that_it_was_unseen(admin: Client, role: str) -> None:
    (only,) = User.objects.all()
    values = {"username": only.username, "role": role}
    for _ in range(2):  # Confirming it changes nothing about it.
        answer = admin.post("/actions/accounts.set_role/", values, headers=HTMX)
        assert answer.status_code in (409, 422)
        assert "before these values had been previewed" not in text_of(answer)
        assert "would leave nobody who can manage users" in text_of(answer)
    preview = admin.post("/actions/accounts.set_role/preview/", values, headers=HTMX)
    assert "nobody" in text_of(preview)


# ---- taking back


def test_an_accepted_slo_is_taken_back_and_set_again(owner: Client) -> None:
    said = done(
        owner.post(
            "/actions/slos.accept/", filled(owner, link(owner, "slos.accept", "balanced")), headers=HTMX
        )
    )
    (first,) = ActiveSlo.objects.all()
    again = take_back(owner, said)
    assert not ActiveSlo.objects.filter(ended_at=None).exists()
    entry = AuditEntry.objects.get(action="slos.retire")
    assert entry.rationale == "Takes back “Accept tier”."
    take_back(owner, again)
    assert ActiveSlo.objects.get(ended_at=None).target == first.target


@pytest.mark.parametrize("number", ["99.913002", "98.7654321", "99.999"])
def test_an_edited_slo_gets_its_every_digit_and_its_window_back(owner: Client, number: str) -> None:
    data = filled(owner, link(owner, "slos.set"), target=number, window_days="7", rationale="so")
    data |= {"show": "target,window_days"}
    done(owner.post("/actions/slos.set/", data, headers=HTMX))
    before = ActiveSlo.objects.get(ended_at=None)
    data = filled(owner, link(owner, "slos.edit"), target="97", window_days="28", rationale="so")
    take_back(owner, done(owner.post("/actions/slos.edit/", data, headers=HTMX)))
    after = ActiveSlo.objects.get(ended_at=None)
    assert (after.target, after.window_days) == (before.target, before.window_days)


def test_what_somebody_changed_since_is_not_taken_back(owner: Client) -> None:
    data = filled(owner, link(owner, "slos.set"), target="99.5", rationale="so")
    said = done(owner.post("/actions/slos.set/", data, headers=HTMX))
    data = filled(owner, link(owner, "slos.edit"), target="97", rationale="so")
    done(owner.post("/actions/slos.edit/", data, headers=HTMX))
    undo = said["undo"]
    response = owner.post(undo["url"], undo["values"], headers=HTMX)
    assert response.status_code == 409
    assert "Current state" in text_of(response)
    assert float(ActiveSlo.objects.get(ended_at=None).target) == 0.97


def test_a_change_of_a_person_or_a_team_is_taken_back(admin: Client, shop: Team) -> None:
    ada = User.objects.create_user("ada", role=User.Role.VIEWER)
    ada.teams.add(shop)

    def state() -> tuple[object, ...]:
        ada.refresh_from_db()
        shop.refresh_from_db()
        return ada.role, ada.is_active, shop.name, sorted(shop.members.values_list("username", flat=True))

    before = state()
    calls: dict[str, dict[str, str]] = {
        "accounts.set_role": {"username": "ada", "role": "service_owner", "teams": "other"},
        "accounts.deactivate": {"username": "ada", "rationale": "left"},
        "accounts.remove_member": {"username": "ada", "team_id": str(shop.pk)},
        "accounts.rename_team": {"team_id": str(shop.pk), "name": "store"},
    }
    Team.objects.create(name="other")
    for name, values in calls.items():
        said = done(
            admin.post(f"/actions/{name}/", filled(admin, f"/actions/{name}/", **values), headers=HTMX)
        )
        assert state() != before, name
        take_back(admin, said)
        assert state() == before, name


def test_what_cannot_be_taken_back_offers_no_undo(owner: Client) -> None:
    data = filled(owner, link(owner, "slos.reject"), rationale="No.")
    assert "undo" not in done(owner.post("/actions/slos.reject/", data, headers=HTMX))


# ---- who may


def _has_a_form(action: actions.AnyAction) -> bool:
    try:
        fields_for(action.Input)
    except TypeError:
        return False
    return not action.answer_shows_once


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_an_empty_form_is_not_offered_to_those_who_may_not_send_it(db: None, role: str) -> None:
    client = client_of(role)
    user = User.objects.get(role=role)
    for action in filter(_has_a_form, actions.offered_actions()):
        status = client.get(f"/actions/{action.name}/").status_code
        assert (status == 403) != user.has_perm(action.permission), action.name


def test_somebody_elses_service_is_refused_before_anything_is_typed(checkout: Service) -> None:
    stranger = client_of("service_owner", Team.objects.create(name="others"))
    response = stranger.get("/actions/slos.modify/?service_id=checkout&sli_type=availability&show=target")
    assert response.status_code == 403
    assert "only an SRE admin or an owner of the service" in text_of(response)
