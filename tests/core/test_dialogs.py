"""The one dialog: opened, previewed, refused, done; with a script and without."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import CycleAlert, Service
from apps.core.models import AuditEntry
from apps.slos.models import ActiveSlo, Recommendation
from apps.ui.format import NARROW_SPACE, percent
from tests.pages import HTMX, client_of, filled, given, links, text_of
from tests.slos.conftest import compute, current, make_hours, make_service

DIALOG = "/actions/slos.accept/"


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
def owner(shop: Team) -> Client:
    return client_of("service_owner", shop)


def address(client: Client, action: str, *words: str) -> str:
    """The first link of the service's page to this action's dialog whose address holds these words."""
    response = client.get(reverse("service", args=["checkout"]))
    return next(
        link for link in links(response, f"/actions/{action}/") if all(word in link for word in words)
    )


def form(client: Client, link: str, **typed: str) -> dict[str, str]:
    """What the browser sends from that dialog, with these values typed in and previewed."""
    return filled(client, link, **typed)


def decisions() -> int:
    return AuditEntry.objects.exclude(action="slos.store_recommendations").count()


def test_opening_it_shows_what_would_change_and_leaves_no_trace(owner: Client, checkout: Service) -> None:
    link = address(owner, "slos.accept", "balanced")
    page = owner.get(link)
    assert page.status_code == 200
    words = text_of(page)
    assert "checkout gets an SLO of" in words
    assert "the balanced tier" in words
    assert "none →" in words
    assert "To undo" in words
    assert "<html" in page.content.decode()
    fragment = owner.get(link, headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert 'hx-target="#dialog"' in fragment
    assert decisions() == 0


def test_its_button_names_what_is_chosen(owner: Client, checkout: Service) -> None:
    target = current(checkout).document["tiers"]["balanced"]["target"]
    words = text_of(owner.get(address(owner, "slos.accept", "balanced")))
    assert f"Accept {percent(target)}".replace(NARROW_SPACE, " ") in words


def test_doing_it_closes_the_dialog_and_says_what_was_done(owner: Client, checkout: Service) -> None:
    data = form(owner, address(owner, "slos.accept", "balanced"))
    response = owner.post(DIALOG, data, headers=HTMX)
    assert response.status_code == 204
    events = json.loads(response["HX-Trigger"])
    assert events["ballast:done"]["message"].startswith("checkout now has an SLO of 99.")
    assert "ballast:changed" in events
    assert ActiveSlo.objects.get().tier == "balanced"
    assert AuditEntry.objects.get(action="slos.accept").source == "web"


def test_without_a_script_it_goes_back_to_the_page_with_the_message(owner: Client, checkout: Service) -> None:
    data = form(owner, address(owner, "slos.accept", "balanced"))
    response = owner.post(DIALOG, data, follow=True)
    assert response.redirect_chain == [(reverse("service", args=["checkout"]), 302)]
    assert "checkout now has an SLO of 99." in text_of(response)


def test_sending_a_form_twice_does_it_once(owner: Client, checkout: Service) -> None:
    data = form(owner, address(owner, "slos.accept", "balanced"))
    assert owner.post(DIALOG, data, headers=HTMX).status_code == 204
    assert owner.post(DIALOG, data, headers=HTMX).status_code == 204
    assert AuditEntry.objects.filter(action="slos.accept").count() == 1


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"target": "99.9", "rationale": ""}, "This is needed."),
        ({"target": "ninety", "rationale": "so"}, "Write a number."),
        ({"target": "100", "rationale": "so"}, "Write a percentage above 0 % and below 100 %."),
        ({"target": "250", "rationale": "so"}, "Write a percentage above 0 % and below 100 %."),
        ({"target": "0.999", "rationale": "so"}, "Write 99.9 for 99.9 %."),
        ({"target": "0.9995 %", "rationale": "so"}, "Write 99.95 for 99.95 %."),
        ({"target": "1", "rationale": "so"}, "This is in percent, and 1 % is hardly meant. Write 99.9"),
        ({"target": "nan%", "rationale": "so"}, "Write a number."),
        ({"target": "", "rationale": "so"}, "An availability SLO takes a target"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_in_words(
    owner: Client, checkout: Service, typed: dict[str, str], complaint: str
) -> None:
    data = form(owner, address(owner, "slos.modify", "availability"), **typed)
    response = owner.post("/actions/slos.modify/", data, headers=HTMX)
    assert response.status_code == 422
    assert complaint.replace(" %", f"{NARROW_SPACE}%") in response.content.decode()
    assert "Value error" not in response.content.decode()
    assert "Input should" not in response.content.decode()
    assert 'name="threshold_ms"' not in response.content.decode()
    assert not ActiveSlo.objects.exists()


@pytest.mark.parametrize("action", ["slos.modify", "slos.set"])
def test_a_ratio_in_a_field_of_percents_is_told_so_while_it_is_typed(
    owner: Client, checkout: Service, action: str
) -> None:
    data = form(owner, address(owner, action, "availability"), target="0.999")
    words = text_of(owner.post(f"/actions/{action}/preview/", data, headers=HTMX))
    assert "Write 99.9 for 99.9 %.".replace(" %", f"{NARROW_SPACE}%") in words.replace(
        " %", f"{NARROW_SPACE}%"
    )
    assert "gets an SLO" not in words
    shown = owner.post(f"/actions/{action}/", data, headers=HTMX).content.decode()
    assert 'name="target" value="0.999"' in shown


def test_less_than_half_is_allowed_and_looked_at_twice(owner: Client, checkout: Service) -> None:
    data = form(owner, address(owner, "slos.modify", "availability"), target="9.99")
    words = text_of(owner.post("/actions/slos.modify/preview/", data, headers=HTMX))
    assert "lets more requests fail than succeed. Is that intended?" in words


def test_the_number_in_the_field_the_one_on_the_button_and_the_one_that_is_set_are_one(
    owner: Client, checkout: Service
) -> None:
    seen = current(checkout)
    tiers = seen.document["tiers"]
    tiers["balanced"]["target"] = 0.99913002
    Recommendation.objects.filter(pk=seen.pk).update(
        document=seen.document | {"tiers": tiers}, balanced=0.99913002, version=seen.version + 1
    )
    data = form(owner, address(owner, "slos.modify", "availability"), rationale="so")
    assert data["target"] == "99.913"
    preview = text_of(owner.post("/actions/slos.modify/preview/", data, headers=HTMX))
    assert "Set 99.913 %".replace(" %", f"{NARROW_SPACE}%") in preview.replace(" %", f"{NARROW_SPACE}%")
    assert owner.post("/actions/slos.modify/", data, headers=HTMX).status_code == 204
    assert float(ActiveSlo.objects.get().target) == 0.99913


def test_every_digit_that_is_written_is_shown_and_comes_back_in_the_form(
    owner: Client, checkout: Service
) -> None:
    data = form(owner, address(owner, "slos.modify", "availability"), target="99.913002", rationale="so")
    preview = text_of(owner.post("/actions/slos.modify/preview/", data, headers=HTMX))
    assert preview.count("99.913002") >= 3  # The sentence, the difference and the button.
    assert owner.post("/actions/slos.modify/", data, headers=HTMX).status_code == 204
    assert "99.913002" in text_of(owner.get("/services/checkout/"))
    assert given(address(owner, "slos.edit", "availability"))["target"] == "99.913002"


def test_the_preview_follows_what_is_typed(owner: Client, checkout: Service) -> None:
    data = form(owner, address(owner, "slos.modify", "availability"), target="99.999")
    response = owner.post("/actions/slos.modify/preview/", data, headers=HTMX)
    words = text_of(response)
    assert "Set 99.999 %" in words
    assert "Harder than the aggressive tier" in words
    easy = owner.post("/actions/slos.modify/preview/", data | {"target": "99"}, headers=HTMX)
    assert "Harder" not in text_of(easy)
    assert 'hx-swap-oob="true"' in easy.content.decode()
    assert decisions() == 0


def test_the_preview_of_a_number_that_is_none_says_so(owner: Client, checkout: Service) -> None:
    data = form(owner, address(owner, "slos.modify", "availability"), target="9.9.9")
    assert "Write a number." in text_of(owner.post("/actions/slos.modify/preview/", data, headers=HTMX))


def test_a_form_that_is_not_filled_in_yet_complains_of_nothing(owner: Client, checkout: Service) -> None:
    words = text_of(owner.get(address(owner, "slos.set", "latency_p95")))
    assert "to see what it would change" in words
    assert "is needed" not in words


def test_the_second_of_two_sees_what_the_first_did(owner: Client, checkout: Service, shop: Team) -> None:
    other = client_of("service_owner", shop)
    mine = form(owner, address(owner, "slos.accept", "balanced"))
    theirs = form(other, address(other, "slos.accept", "aggressive"))
    assert owner.post(DIALOG, mine, headers=HTMX).status_code == 204
    response = other.post(DIALOG, theirs, headers=HTMX)
    assert response.status_code == 409
    words = text_of(response)
    assert "was accepted by service_owner" in words
    assert "You saw" in words
    assert "Current state" in words
    assert "Your change was not saved" in words
    assert ActiveSlo.objects.get().tier == "balanced"


def test_a_conflict_without_a_table_is_shown_as_one(owner: Client) -> None:
    cycle = CycleAlert.objects.create(
        fingerprint="x", members=["a", "b"], path=["a", "b"], state="acknowledged"
    )
    response = owner.get("/actions/catalog.acknowledge_cycle/", {"cycle_id": cycle.pk})
    assert response.status_code == 409
    assert "state acknowledged" in text_of(response).replace("— → ", "")


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_who_may_not_do_it_hears_who_may(checkout: Service, owner: Client, role: str) -> None:
    link = address(owner, "slos.accept", "balanced")
    data = form(owner, link)
    client = client_of(role)
    for response in (client.get(link), client.post(DIALOG, data), client.get(link, headers=HTMX)):
        assert response.status_code == 403
        assert "only an SRE admin or an owner of the service may do this" in text_of(response)
    assert not ActiveSlo.objects.exists()


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(client: Client, db: None) -> None:
    for response in (client.get(DIALOG), client.post(DIALOG), client.post(f"{DIALOG}preview/")):
        assert response["Location"].startswith(reverse("login"))


def test_an_action_or_service_that_is_not_there_is_a_404(owner: Client) -> None:
    assert owner.get("/actions/slos.destroy/").status_code == 404
    missing = {"service_id": "nobody", "sli_type": "availability", "expected_version": "0"}
    assert owner.get("/actions/slos.retire/", missing).status_code == 404


def test_it_never_sends_anybody_to_another_site(owner: Client, checkout: Service) -> None:
    link = address(owner, "slos.accept", "balanced")
    values: dict[str, Any] = given(link) | {"next": "https://example.org/"}
    assert "example.org" not in owner.get(DIALOG, values).content.decode()
    data = form(owner, link) | {"next": "//example.org/"}
    assert owner.post(DIALOG, data)["Location"] == "/"


def test_a_dangerous_action_has_the_red_button(owner: Client, checkout: Service) -> None:
    owner.post(DIALOG, form(owner, address(owner, "slos.accept", "balanced")))
    retire = owner.get(address(owner, "slos.retire")).content.decode()
    assert 'class="btn danger"' in retire
    assert "Retire SLO" in retire
    edit = owner.get(address(owner, "slos.edit")).content.decode()
    assert 'class="btn danger"' not in edit
    assert 'name="window_days" value="28"' in edit


def test_words_that_try_to_be_markup_stay_words(shop: Team) -> None:
    name = "<script>alert(1)</script>"
    service = make_service(name, team=shop)
    make_hours(service, days=35)
    compute(service)
    client = client_of("service_owner", shop)
    page = client.get(reverse("service", args=[name]))
    link = links(page, DIALOG)[0]
    opened = client.get(link)
    assert opened.status_code == 200
    assert "<script>alert" not in opened.content.decode()


@pytest.mark.parametrize(
    "name", ["catalog.ingest_dependencies", "catalog.declare_service", "slos.store_recommendations"]
)
def test_an_action_that_no_form_fits_has_no_dialog(name: str, db: None) -> None:
    response = client_of("sre_admin").get(f"/actions/{name}/")
    assert response.status_code == 404
    assert "Use the API" in text_of(response)


@pytest.mark.parametrize("name", ["accounts.create_user", "accounts.create_api_key"])
def test_an_answer_that_is_shown_once_is_not_lost_with_the_dialog(name: str, db: None) -> None:
    client = client_of("sre_admin")
    data = {"username": "eve", "name": "ci"}
    assert client.get(f"/actions/{name}/").status_code == 404
    assert client.post(f"/actions/{name}/", data, headers=HTMX).status_code == 404
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(("name", "title"), [("slos.set", "Set SLO"), ("slos.accept", "Accept tier")])
def test_a_page_of_its_own_says_which_service_it_is_about(
    checkout: Service, owner: Client, name: str, title: str
) -> None:
    asked = {"service_id": "checkout", "sli_type": "availability"}
    body = owner.get(f"/actions/{name}/", asked).content.decode()
    assert re.search(rf'<h1 id="dialog-title">{title}: checkout</h1>', body)
    assert re.search(rf"<title>{title}: checkout · Ballast</title>", body)
    over_the_page = owner.get(f"/actions/{name}/", asked, headers=HTMX).content.decode()
    assert re.search(rf'<h2 id="dialog-title">{title}</h2>', over_the_page), "the page behind it says which"
