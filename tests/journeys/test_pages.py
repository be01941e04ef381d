"""The pages of journeys: the list, one journey, its form."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.models import AuditEntry
from apps.journeys.making import compute
from apps.journeys.models import Journey
from apps.journeys.services import mark_outdated
from tests.journeys.conftest import journey_input
from tests.pages import HTMX, client_of, filled, rows_of, text_of


def form(**more: Any) -> dict[str, Any]:
    return {
        "name": "Check out",
        "team": "shop",
        "target": "99.5",
        "description": "",
        "rationale": "",
        "paths": "1",
        "path-0-name": "by card",
        "path-0-share": "100",
        "path-0-steps": "web\npay × 0.5",
        "key": "form-1",
        "do": "save",
        **more,
    }


@pytest.fixture
def sre(db: None) -> Client:
    return client_of("sre_admin")


def test_nobody_sees_them_without_signing_in(db: None) -> None:
    for path in ("/journeys/", "/journeys/new/", "/journeys/check-out/", "/what-if/web/"):
        assert Client().get(path).status_code == 302


def test_the_empty_list_says_what_a_journey_is(sre: Client) -> None:
    page = sre.get("/journeys/")
    assert "A journey is what a user wants to do" in text_of(page)
    assert "Create journey" in text_of(page)


def test_the_list_shows_each_with_its_standing(journey: Journey, sre: Client) -> None:
    compute.compute_one(journey)
    page = sre.get("/journeys/")
    assert rows_of(page) == ["Check out"]
    assert "keeps its target" in text_of(page)
    assert "99.5 %" in text_of(page)
    assert rows_of(sre.get("/journeys/?q=nothing")) == []
    assert rows_of(sre.get("/journeys/?team=shop&sort=-chance")) == ["Check out"]


def test_the_list_takes_as_many_queries_for_many_as_for_one(
    journey: Journey, admin: Actor, sre: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for at in range(12):
        dispatch("journeys.create", journey_input(name=f"Journey {at}"), actor=admin)
    with django_assert_max_num_queries(12):
        sre.get("/journeys/")


def test_the_window_that_is_named_is_the_installations(
    journey: Journey, sre: Client, settings: Settings
) -> None:
    settings.WINDOW_DAYS = 30
    compute.compute_one(journey)
    page = text_of(sre.get("/journeys/check-out/"))
    assert "Targets it could keep 30 days" in page
    assert "windows of 30 days from the forecasts" in page
    assert "28 days" not in page


def test_a_journey_says_its_answer_first_and_names_the_weakest_link(journey: Journey, sre: Client) -> None:
    compute.compute_one(journey)
    page = text_of(sre.get("/journeys/check-out/"))
    assert "of the journeys succeed" in page
    assert "The target of 99.5 % is missed" in page
    assert "Weakest link: web" in page
    assert page.index("of the journeys succeed") < page.index("Paths")


def test_it_says_how_long_it_takes_and_where_the_time_goes(
    fleet: dict[str, Service], admin: Actor, sre: Client
) -> None:
    only = [{"name": "", "steps": [{"service_id": "pay"}]}]
    dispatch("journeys.create", journey_input(paths=only, latency_target_ms=120), actor=admin)
    compute.compute_one(Journey.objects.get())
    page = text_of(sre.get("/journeys/check-out/"))
    assert "95 % of the journeys end within" in page
    assert "the latency target is 120 ms" in page
    assert "take longer, where 5 % may" in page
    assert "slower than its target" in page
    assert page.index("How long it takes") > page.index("Paths")
    listed = text_of(sre.get("/journeys/"))
    assert "of 120 ms" in listed
    assert "too slow" in listed


def test_a_path_without_histograms_is_named_and_a_call_inside_another_too(
    fleet: dict[str, Service], admin: Actor, sre: Client
) -> None:
    given = [{"name": "", "steps": [{"service_id": "web"}, {"service_id": "pay"}]}]
    dispatch("journeys.create", journey_input(paths=given), actor=admin)
    compute.compute_one(Journey.objects.get())
    page = text_of(sre.get("/journeys/check-out/"))
    assert "Of web no latencies came in." in page
    assert "percentiles can neither be added nor guessed" in page
    assert "web calls it and waits" in page
    assert "its own time holds" in page
    assert "95 % of the journeys end within" not in page


def test_before_the_first_result_it_says_that_one_is_coming(journey: Journey, sre: Client) -> None:
    page = sre.get("/journeys/check-out/")
    assert "A worker is computing the figures" in text_of(page)
    assert 'hx-trigger="every 2s"' in page.content.decode()


def test_while_it_is_made_anew_the_old_figures_stay(journey: Journey, sre: Client) -> None:
    compute.compute_one(journey)
    assert "every 2s" not in sre.get("/journeys/check-out/").content.decode()
    mark_outdated([journey.pk])
    page = text_of(sre.get("/journeys/check-out/"))
    assert "A worker is computing it again" in page
    assert "of the journeys succeed" in page


def test_figures_of_an_older_version_are_marked(journey: Journey, admin: Actor, sre: Client) -> None:
    compute.compute_one(journey)
    dispatch("journeys.edit", journey_input(journey="check-out", version=1, target=0.99), actor=admin)
    assert "These figures are for the journey before its last edit" in text_of(
        sre.get("/journeys/check-out/")
    )


def test_a_viewer_reads_and_is_offered_nothing_else(journey: Journey) -> None:
    viewer = client_of("viewer")
    page = text_of(viewer.get("/journeys/check-out/"))
    assert "Edit journey" not in page
    assert "Delete journey" not in page
    for path in ("/journeys/new/", "/journeys/check-out/edit/"):
        refusal = viewer.get(path)
        assert refusal.status_code == 403
        assert "Only an SRE admin or an owner" in text_of(refusal)


def test_the_form_creates_and_leads_to_the_journey(fleet: dict[str, Service], sre: Client) -> None:
    done = sre.post("/journeys/new/", form())
    assert (done.status_code, done["Location"]) == (302, "/journeys/check-out/")
    assert Journey.objects.get().paths == [
        {
            "name": "by card",
            "weight": 100.0,
            "steps": [{"service_id": "web", "calls": 1.0}, {"service_id": "pay", "calls": 0.5}],
        }
    ]
    by_script = sre.post("/journeys/new/", form(name="Another", key="form-2"), headers=HTMX)
    assert by_script["HX-Redirect"] == "/journeys/another/"


def test_a_form_sent_twice_creates_once(fleet: dict[str, Service], sre: Client) -> None:
    sre.post("/journeys/new/", form())
    assert sre.post("/journeys/new/", form())["Location"] == "/journeys/check-out/"
    assert Journey.objects.count() == 1


def test_a_target_of_1_percent_or_less_is_told_to_be_a_ratio(sre: Client, fleet: dict[str, Service]) -> None:
    refused = sre.post("/journeys/new/", form(target="0.999"))
    assert refused.status_code == 422
    assert "Write 99.9 for 99.9" in text_of(refused)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("web\n\npay × 0", "Path 1, line 3: “pay × 0” needs a number of calls above 0 and at most 100"),
        ("pay × 1e9", "Path 1, line 1: “pay × 1e9” needs a number of calls above 0 and at most 100"),
        ("pay × -1", "Path 1, line 1: “pay × -1” needs a number of calls above 0"),
        ("web\ncart", "Path 1, line 2: There is no service called cart."),
    ],
)
def test_what_is_wrong_with_a_step_names_its_path_and_line(
    sre: Client, fleet: dict[str, Service], steps: str, words: str
) -> None:
    refused = sre.post("/journeys/new/", form(**{"path-0-steps": steps}))
    assert refused.status_code == 422
    assert words in text_of(refused)
    assert not Journey.objects.exists()


def test_the_form_takes_a_latency_target_and_says_what_is_wrong_with_one(
    fleet: dict[str, Service], sre: Client
) -> None:
    for wrong in ("0", "soon", "-5", "90000000"):
        refused = sre.post("/journeys/new/", form(latency_target=wrong))
        assert refused.status_code == 422
        assert "Write a time in ms, above 0 and at most a day." in text_of(refused)
    sre.post("/journeys/new/", form(latency_target="1,250 ms"))
    assert Journey.objects.get().latency_target_ms == 1_250
    shown = sre.get("/journeys/check-out/edit/").content.decode()
    assert 'value="1250"' in shown


def test_paths_are_added_and_removed_without_losing_what_was_typed(
    fleet: dict[str, Service], sre: Client
) -> None:
    more = sre.post("/journeys/new/", form(do="add-path")).content.decode()
    assert "Path 2" in more
    assert "web\npay × 0.5" in more
    two = form(
        **{
            "do": "remove-path-0",
            "paths": "2",
            "path-1-name": "kept",
            "path-1-steps": "db",
            "path-1-share": "5",
        }
    )
    fewer = sre.post("/journeys/new/", two).content.decode()
    assert "Path 2" not in fewer
    assert 'value="kept"' in fewer
    assert not Journey.objects.exists()


def test_what_is_wrong_stands_beside_its_field(fleet: dict[str, Service], sre: Client) -> None:
    wrong = form(**{"name": "", "target": "101", "path-0-share": "many"})
    page = sre.post("/journeys/new/", wrong)
    assert page.status_code == 422
    text = text_of(page)
    for words in ("This is needed.", "Write a percentage above 0 and below 100.", "Write a number above 0."):
        assert words in text
    page = sre.post("/journeys/new/", form(**{"path-0-steps": "web\nnobody"}))
    assert "There is no service called nobody." in text_of(page)
    assert 'id="field-path-0-steps-errors"' in page.content.decode()


def test_the_form_says_beforehand_what_it_would_do(fleet: dict[str, Service], sre: Client) -> None:
    page = text_of(sre.post("/journeys/new/check/", form()))
    assert "Check out is a journey with 1 path over 2 services." in page
    assert "There is no service called x." in text_of(
        sre.post("/journeys/new/check/", form(**{"path-0-steps": "x"}))
    )
    assert not Journey.objects.exists()
    assert not AuditEntry.objects.filter(action="journeys.create").exists()


def test_an_edit_starts_from_what_holds(journey: Journey, sre: Client) -> None:
    page = sre.get("/journeys/check-out/edit/").content.decode()
    assert 'value="Check out"' in page
    assert 'value="75"' in page
    done = sre.post("/journeys/check-out/edit/", form(version="1", name="Buy"))
    assert done["Location"] == "/journeys/check-out/"
    assert Journey.objects.get().name == "Buy"


def test_an_edit_of_an_old_version_keeps_nothing_and_says_so(journey: Journey, sre: Client) -> None:
    sre.post("/journeys/check-out/edit/", form(version="1", name="Buy"))
    page = sre.post("/journeys/check-out/edit/", form(version="1", name="Sell", key="form-3"))
    assert page.status_code == 409
    assert "Your change was not saved" in text_of(page)
    assert Journey.objects.get().name == "Buy"


def test_a_journey_is_deleted_in_the_common_dialog(journey: Journey, sre: Client) -> None:
    link = "/actions/journeys.delete/?journey=check-out&version=1&next=/journeys/"
    page = sre.get(link)
    assert "Check out and its result are deleted." in text_of(page)
    sre.post("/actions/journeys.delete/", filled(sre, link))
    assert not Journey.objects.exists()


def test_hostile_names_are_text(fleet: dict[str, Service], admin: Actor, sre: Client) -> None:
    dispatch("journeys.create", journey_input(name="<script>alert(1)</script>"), actor=admin)
    page = sre.get("/journeys/").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;" in page
