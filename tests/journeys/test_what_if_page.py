"""The what-if page: all of it in the address, nothing changed by it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Service
from apps.core.errors import InvalidInput
from apps.core.models import AuditEntry
from apps.journeys.what_if.steps import ChangeStep, parse, parse_all, query
from apps.slos.models import Recommendation
from tests.pages import HOSTILE_IDS, HTMX, client_of, text_of
from tests.slos.conftest import make_service

HERE = "/what-if/web/"


@pytest.fixture
def reader(db: None) -> Client:
    return client_of("viewer")


def test_it_begins_at_the_services_those_that_can_keep_least_first(
    reader: Client, fleet: dict[str, Service]
) -> None:
    make_service("quiet")
    page = reader.get("/what-if/").content.decode()
    order = [page.index(f'href="/what-if/{name}/"') for name in ("web", "pay", "db", "quiet")]
    assert order == sorted(order)
    assert '<a href="/what-if/" aria-current="page"' in page


def test_its_services_can_be_filtered_and_sorted(reader: Client, fleet: dict[str, Service]) -> None:
    found = text_of(reader.get("/what-if/", {"q": "PA", "sort": "-service"}, headers=HTMX))
    assert "Try a change to pay" in found
    assert "Try a change to web" not in found
    assert "There is no team “nobody” in this list" in text_of(reader.get("/what-if/", {"team": "nobody"}))


def test_it_asks_who_is_there_before_it_lists_services(client: Client, db: None) -> None:
    assert client.get("/what-if/").status_code == 302


@pytest.mark.parametrize("service_id", [*HOSTILE_IDS, "a:b:c"])
def test_a_step_survives_the_address_whatever_its_service_is_called(service_id: str) -> None:
    step = ChangeStep("fallback", 0.9, service_id)
    assert parse(step.text) == step
    assert query([step]).startswith("step=fallback%3A0.9%3A")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("teleport:1:pay", "begins with one of"),
        ("fallback:many:pay", "write a number"),
        ("fallback:1.5:pay", "between 0.01 and 1"),
        ("retry:1.5:pay", "whole number"),
        ("retry:nan:pay", "between 1 and 5"),
        ("retry:1:", "names no service"),
        ("retry", "names no service"),
    ],
)
def test_what_is_no_step_is_named(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_all(["retry:1:pay", text])
    assert refusal.value.fields[0].path == "step.1"
    assert words in refusal.value.fields[0].message


def test_the_window_that_is_named_is_that_of_the_recommendation(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    Recommendation.objects.filter(service=fleet["web"]).update(window_days=30)
    page = text_of(reader.get(HERE))
    assert "availability over 30 days" in page
    assert "28 days" not in page


def test_it_says_what_could_be_kept_with_the_steps(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    today = text_of(reader.get(HERE))
    assert "Today web can keep" in today
    found = reader.get(f"{HERE}?step=fallback:0.9:pay&step=retry:2:db")
    text = text_of(found)
    assert found.status_code == 200
    assert "With these steps, web could keep" in text
    assert "fallback for pay, answers 90 %" in text
    assert "3 while it is down" in text
    assert not AuditEntry.objects.filter(actor_name__startswith="viewer").exists()


def test_the_form_leads_to_the_address_of_the_steps(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    given = {"step": "retry:2:db", "kind": "fallback", "on": "pay", "value": "90"}
    address = f"{HERE}?step=retry%3A2%3Adb&step=fallback%3A0.9%3Apay"
    assert reader.get(HERE, given)["Location"] == address
    by_script = reader.get(HERE, given, headers=HTMX)
    assert by_script["HX-Push-Url"] == address
    assert "With these steps" in text_of(by_script)


def test_a_number_that_stood_there_for_another_kind_is_not_taken(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    given = {"kind": "fallback", "on": "pay", "value": "1", "for": "retry"}
    assert reader.get(HERE, given)["Location"] == f"{HERE}?step=fallback%3A0.9%3Apay"
    assert reader.get(HERE, given | {"value": "70"})["Location"] == f"{HERE}?step=fallback%3A0.7%3Apay"


def test_every_step_can_be_taken_away(live_worker: Any, fleet: dict[str, Service], reader: Client) -> None:
    page = reader.get(f"{HERE}?step=fallback:0.9:pay&step=retry:2:db").content.decode()
    assert f'href="{HERE}?step=retry%3A2%3Adb"' in page
    assert f'href="{HERE}?step=fallback%3A0.9%3Apay"' in page


def test_what_is_wrong_is_said_and_the_rest_still_shown(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    page = reader.get(HERE, {"kind": "fallback", "on": "pay", "value": "900"})
    assert page.status_code == 422
    assert "Share of failures it answers: between 1 and 100 %." in text_of(page)
    page = reader.get(f"{HERE}?step=fallback:0.9:nobody")
    assert page.status_code == 422
    assert "web does not call nobody itself." in text_of(page)
    assert "Today web can keep" in text_of(page)


def test_a_step_that_is_none_is_named_and_the_others_stay(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    page = reader.get(f"{HERE}?step=replica:1:db&step=fallback:2:pay&step=retry:1:db&step=teleport:1:db")
    assert page.status_code == 422
    text = text_of(page)
    assert "Step 2, “fallback:2:pay”, is left out. Share of failures it answers: between 0.01 and 1." in text
    assert "Step 4, “teleport:1:db”, is left out. A step begins with one of fallback, queue," in text
    assert "1 more replica of db" in text
    assert "1 more try of db" in text
    assert "With these steps, web could keep" in text
    assert page.content.decode().count("Remove: ") == 2


def test_more_steps_than_can_be_tried_leave_the_first_ones(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    page = reader.get(HERE, {"step": ["retry:1:db"] * 9})
    assert page.status_code == 422
    assert "At most 8 steps can be tried together. The others are left out." in text_of(page)
    assert page.content.decode().count("Remove: ") == 8


def test_an_average_is_not_said_to_be_missed(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    text = text_of(reader.get(HERE))
    assert "an average, not a target" in text
    assert "on average" not in text


def test_choosing_a_kind_brings_its_number_and_what_it_may_be_about(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    part = reader.get(HERE, {"choose": "1", "kind": "replica"}, headers=HTMX).content.decode()
    assert part.lstrip().startswith('<form id="step-form"')
    assert "More instances" in part
    assert "web (itself)" in part


def test_without_a_worker_it_says_so_with_what_to_do(
    fleet: dict[str, Service], reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.journeys.what_if.computation.DEADLINE_SECONDS", 0.2)
    page = reader.get(HERE)
    assert page.status_code == 503
    assert "No worker answered" in text_of(page)
    assert "Try again" in text_of(page)


def test_a_service_that_is_not_there_is_not_found(reader: Client) -> None:
    assert reader.get("/what-if/nobody/").status_code == 404


def test_nothing_is_ever_posted_to_it(fleet: dict[str, Service], reader: Client) -> None:
    assert reader.post(HERE).status_code == 405


def test_the_service_page_leads_there(fleet: dict[str, Service], reader: Client) -> None:
    assert f'href="{HERE}"' in reader.get("/services/web/").content.decode()
