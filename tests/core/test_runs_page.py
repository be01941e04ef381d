"""The list of long work, and the page of one run, with its levers for those who may pull them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.errors import Fault
from apps.core.models import Run
from apps.core.runs import execute
from apps.core.runs.executing import Failed
from apps.core.runs.holding import claim
from apps.core.runs.kinds import Done
from tests.core import runs
from tests.core.conftest import person
from tests.core.runs import KIND, kind, start
from tests.pages import HTMX, ROLES, client_of, text_of

__all__ = ["kind"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kind")]

LEVERS = ("core.cancel_run", "core.pause_run", "core.resume_run", "core.retry_run")


def page(client: Client, run: Run, **more: Any) -> Any:
    return client.get(reverse("run", args=[run.pk]), **more)


def levers(client: Client, run: Run) -> set[str]:
    html = page(client, run).content.decode()
    return {name.removeprefix("core.").removesuffix("_run") for name in LEVERS if f"/actions/{name}/" in html}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_both(role: str) -> None:
    client, run = client_of(role), start("a")
    assert "Work for a test" in text_of(client.get(reverse("runs"), {"who": "all"}))
    assert "waits for a worker" in text_of(page(client, run))


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(client: Client) -> None:
    for address in (reverse("runs"), reverse("run", args=[start().pk])):
        assert client.get(address)["Location"].startswith(reverse("login"))


def test_one_that_is_not_there_is_a_404() -> None:
    assert client_of("viewer").get(reverse("run", args=[uuid4()])).status_code == 404


@pytest.mark.parametrize(("role", "sees"), [("sre_admin", {"cancel", "pause"}), ("service_owner", {"cancel", "pause"}),
                                             ("auditor", set()), ("viewer", set())])  # fmt: skip
def test_levers_are_shown_to_those_who_may_pull_them(role: str, sees: set[str]) -> None:
    asked = start(actor=person("asks", "sre_admin"))
    assert levers(client_of(role), asked) == sees


def test_levers_follow_the_state() -> None:
    client, run = client_of("sre_admin"), start()
    Run.objects.filter(pk=run.pk).update(state="paused")
    assert levers(client, run) == {"resume", "cancel"}
    Run.objects.filter(pk=run.pk).update(state="failed")
    assert levers(client, run) == {"retry"}
    Run.objects.filter(pk=run.pk).update(state="completed")
    assert levers(client, run) == set()


def test_while_it_runs_the_page_asks_again_and_shows_how_far_it_is() -> None:
    run = start()
    holding = claim(run.pk, owner="host:1:2")
    assert holding is not None
    holding.progress(4, 10)
    holding.beat()
    html = page(client_of("viewer"), run).content.decode()
    assert "every 1s" in html
    assert 'max="10" value="4"' in html
    assert "host:1:2" in html
    fragment = page(client_of("viewer"), run, headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert 'id="status"' in fragment


def test_when_it_is_over_the_page_rests_and_says_what_it_did() -> None:
    runs.work.does = lambda holding: Done({"hours": 7}, ["Two hours were left out."])
    run = start()
    execute(run.pk)
    response = page(client_of("viewer"), run)
    assert "every 1s" not in response.content.decode()
    words = text_of(response)
    assert "completed" in words
    assert "hours 7" in words
    assert "Two hours were left out." in words


@pytest.mark.parametrize(
    ("error", "where"),
    [
        ({"file": "nodes.csv", "line": 7, "reason": "is empty"}, "nodes.csv line 7"),
        ({"list": "edges", "row": 3, "reason": "is empty"}, "edges row 3"),
        ({"list": "edges", "row": 3, "part": 1, "reason": "is empty"}, "edges row 3"),
        (
            {"list": "edges", "row": 3, "part": 2, "field": "target", "message": "is empty"},
            "part 2, edges row 3",
        ),
    ],
)
def test_what_was_wrong_is_shown_with_its_place(error: Fault, where: str) -> None:
    def refuse(holding: Any) -> None:
        raise Failed("one row is wrong", errors=[error])

    runs.work.does = refuse
    run = start()
    execute(run.pk)
    words = text_of(page(client_of("viewer"), run))
    assert where in words
    assert ("part" in words.split("row 3")[0].split()) == ("part 2" in where)
    assert "is empty" in words
    assert error.get("field", "") in words


def test_the_list_is_filtered_by_kind_and_state() -> None:
    done, waits = start("a"), start("b")
    execute(done.pk)
    client = client_of("viewer")

    def listed(**query: str) -> set[str]:
        html = client.get(reverse("runs"), {"who": "all"} | query).content.decode()
        return {str(run.pk) for run in (done, waits) if reverse("run", args=[run.pk]) in html}

    assert listed() == {str(done.pk), str(waits.pk)}
    assert listed(state="completed") == {str(done.pk)}
    assert listed(state="open") == {str(waits.pk)}
    assert listed(kind=KIND.name) == {str(done.pk), str(waits.pk)}
    assert listed(kind="slos.refresh") == set()
    assert listed(state="nonsense") == set()


def test_a_filter_changes_the_rows_and_not_the_page() -> None:
    start("a")
    client = client_of("viewer")
    assert "<html" in client.get(reverse("runs")).content.decode()
    rows = client.get(reverse("runs"), {"state": "open", "who": "all"}, headers=HTMX).content.decode()
    assert "<html" not in rows
    assert "Work for a test" in rows


def test_the_list_begins_with_what_concerns_people() -> None:
    routine, failed = start("a"), start("b")
    asked = start("c", actor=person("ada", "service_owner"))
    Run.objects.filter(pk=failed.pk).update(state="failed")
    client = client_of("viewer")

    def listed(**query: str) -> set[Run]:
        html = client.get(reverse("runs"), query).content.decode()
        return {run for run in (routine, failed, asked) if reverse("run", args=[run.pk]) in html}

    assert listed() == {failed, asked}
    assert listed(who="system") == {routine, failed}
    assert listed(who="all") == {routine, failed, asked}


def test_an_empty_list_leads_to_the_routine_with_the_same_filter() -> None:
    start("a")
    shown = client_of("viewer").get(reverse("runs"), {"state": "pending"})
    assert "?who=all&amp;kind=&amp;state=pending" in shown.content.decode()


def test_a_run_of_another_version_is_shown_under_its_name() -> None:
    run = start()
    Run.objects.filter(pk=run.pk).update(kind="tests.of_another_version")
    client = client_of("sre_admin")
    assert "tests.of_another_version" in text_of(client.get(reverse("runs"), {"who": "all"}))
    assert "tests.of_another_version" in text_of(page(client, run))


def test_older_runs_are_a_page_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.runs.presenting.ROWS", 2)
    for word in "abc":
        start(word)
    client = client_of("viewer")
    words = text_of(client.get(reverse("runs"), {"who": "all"}))
    assert "2 runs here" in words
    assert "Older runs" in words
