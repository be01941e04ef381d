"""The page of one graph import: how far it is, what it changed, which rows were wrong."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.catalog import runs
from apps.catalog.models import Ingestion
from tests.pages import HTMX, ROLES, client_of, text_of


def ingestion(**values: Any) -> Ingestion:
    given = {"discovery_source": "manual", "requested_by_name": "olga", "progress_total": 10} | values
    return Ingestion.objects.create(kind=runs.INGEST, **given)


def page(client: Client, one: Ingestion, **more: Any) -> Any:
    return client.get(reverse("run", args=[one.pk]), **more)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_it(db: None, role: str) -> None:
    assert "Apply a dependency graph: Manual, 10 rows" in text_of(page(client_of(role), ingestion()))


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(db: None, client: Client) -> None:
    assert page(client, ingestion())["Location"].startswith(reverse("login"))


def test_one_that_is_not_there_is_a_404(db: None) -> None:
    assert client_of("viewer").get(reverse("run", args=[uuid4()])).status_code == 404


def test_while_it_runs_the_page_asks_again_and_shows_how_far_it_is(db: None) -> None:
    running = ingestion(state="running", progress_done=4, lease_until=timezone.now())
    html = page(client_of("viewer"), running).content.decode()
    assert 'hx-trigger="every 1s"' in html
    assert 'max="10" value="4"' in html
    fragment = page(client_of("viewer"), running, headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert 'id="status"' in fragment


def test_when_it_is_over_the_page_rests_and_says_what_changed(db: None) -> None:
    summary = {"services": {"created": 3, "updated": 0}, "dependencies": {"created": 5}}
    over = ingestion(state="completed", summary=summary, finished_at=timezone.now())
    response = page(client_of("viewer"), over)
    assert "every 1s" not in response.content.decode()
    words = text_of(response)
    assert "services, created 3" in words
    assert "updated" not in words


def test_one_that_changed_nothing_says_so(db: None) -> None:
    over = ingestion(state="completed", summary={"services": {"created": 0}})
    assert "Changed nothing" in text_of(page(client_of("viewer"), over))


def test_every_wrong_row_is_named(db: None) -> None:
    errors = [
        {
            "part": 1,
            "list": "dependencies",
            "row": 7,
            "field": "target",
            "path": "dependencies.7.target",
            "message": "<b>is needed</b>",
        }
    ]
    failed = ingestion(state="failed", errors=errors, error_count=301)
    response = page(client_of("viewer"), failed)
    words = text_of(response)
    assert "failed: nothing was changed" in words
    assert "correct these and send it again" in words
    assert "301 problems" in words
    assert "dependencies row 7 target <b>is needed</b>" in words
    assert "The first 1 of 301" in words
    assert "<b>is needed" not in response.content.decode()


def test_its_address_of_old_leads_to_it(db: None) -> None:
    one = ingestion()
    response = client_of("viewer").get(reverse("ingestion", args=[one.pk]))
    assert (response.status_code, response["Location"]) == (301, reverse("run", args=[one.pk]))
