"""The audit trail as people read it: sentences, differences, whole days, pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core.models import AuditEntry
from tests.audit.conftest import entry
from tests.pages import HOSTILE_IDS, client_of, rows_of, text_of

QUERIES = 10
SLO = {"sli_type": "availability", "window_days": 28, "basis": "requests", "threshold_ms": None}


def audit(client: Client, **query: str) -> Any:
    response = client.get(reverse("audit"), query)
    assert response.status_code == 200
    return response


@pytest.mark.parametrize(
    ("action", "before", "after", "words"),
    [
        ("slos.accept", None, SLO | {"target": 0.999, "tier": "balanced"},
         "Availability 99.9 % over 28 days accepted, the balanced tier"),
        ("slos.modify", None, SLO | {"target": 0.995}, "Availability 99.5 % over 28 days chosen in place of the tiers"),
        ("slos.set", None, SLO | {"target": 0.999}, "Availability 99.9 % over 28 days set by hand"),
        ("slos.edit", SLO | {"target": 0.999}, SLO | {"target": 0.99},
         "Availability changed from 99.9 % over 28 days to 99 % over 28 days"),
        ("slos.retire", SLO | {"target": 0.999}, None, "Availability 99.9 % over 28 days retired"),
        ("slos.regenerate", None, None, "New recommendation requested"),
        ("slos.store_recommendations", None, {"services": 41}, "41 services got new recommendations"),
        ("accounts.create_api_key", None, None, "Create API key: ci"),
        ("gone.action", None, None, "gone.action: ci"),
    ],
)  # fmt: skip
def test_an_entry_is_a_sentence(db: None, action: str, before: Any, after: Any, words: str) -> None:
    made = entry(action, before=before, after=after, object_label="ci")
    client = client_of("auditor")
    assert words in text_of(audit(client))
    assert words in text_of(client.get(reverse("audit-entry", args=[made.pk])))


def test_an_entry_shows_what_differs_line_by_line(db: None) -> None:
    before, after = SLO | {"target": 0.999, "version": 1}, SLO | {"target": 0.995, "version": 2}
    made = entry("slos.edit", "api", before=before, after=after, rationale="<b>season</b>", ip="192.0.2.7")
    response = client_of("auditor").get(reverse("audit-entry", args=[made.pk]))
    words = text_of(response)
    assert "target 99.9 % → 99.5 %" in words
    assert "window days 28" not in words.split("The stored record")[0]
    assert "<b>season</b>" in words
    assert "<b>season" not in response.content.decode()
    assert "192.0.2.7" in words
    assert "in the browser" in words


def test_whole_days_are_asked_for_with_both_ends(db: None) -> None:
    for day in (1, 2, 3):
        moment = datetime(2026, 5, day, 23, 59, tzinfo=UTC)
        entry(f"slos.day{day}", object_label=f"day {day}", created_at=moment)
    client = client_of("auditor")
    found = rows_of(audit(client, since="2026-05-02", until="2026-05-02"))
    assert found == ["slos.day2: day 2"]
    assert rows_of(audit(client, since="2026-05-02")) == ["slos.day3: day 3", "slos.day2: day 2"]
    assert len(rows_of(audit(client, until="2026-05-02"))) == 2


@pytest.mark.parametrize("given", ["yesterday", "2026-13-45", "20260501", "2026"])
def test_a_date_that_is_none_is_named_with_a_way_back(db: None, given: str) -> None:
    response = client_of("auditor").get(reverse("audit"), {"since": given, "action": "slos"})
    assert response.status_code == 422
    assert f"From: “{given}” is no date. Write it as 2026-05-31." in text_of(response)
    assert f'href="{reverse("audit")}?action=slos"' in response.content.decode()


def test_days_the_wrong_way_round_are_told_so(db: None) -> None:
    response = client_of("auditor").get(reverse("audit"), {"since": "2026-05-03", "until": "2026-05-01"})
    assert response.status_code == 422
    assert "The last day is before the first." in text_of(response)


def test_behind_the_oldest_entry_stands_the_way_to_the_newest(db: None) -> None:
    entry("slos.other", object_label="only", minutes=1)
    first = audit(client_of("auditor"), action="nothing")
    assert "Show all entries" in text_of(first)


def test_older_entries_are_a_page_away_and_so_are_the_newest(db: None) -> None:
    for at in range(120):
        entry("slos.other", object_label=f"entry {at:03}", minutes=at)
    client = client_of("auditor")
    first = audit(client, action="slos")
    shown = rows_of(first)
    older = first.content.decode().split('rel="next" href="?')[1].split('"')[0].replace("&amp;", "&")
    second = client.get(f"{reverse('audit')}?{older}")
    assert "action=slos" in older
    assert shown[0] == "slos.other: entry 000"
    assert not set(shown) & set(rows_of(second))
    assert "Newest entries" in text_of(second)


def test_ids_of_any_characters_lead_to_their_service_and_their_entries(db: None) -> None:
    for name in HOSTILE_IDS:
        entry("slos.other", name, object_label=name)
    client = client_of("auditor")
    response = audit(client)
    assert sorted(rows_of(response)) == sorted(f"slos.other: {name}" for name in HOSTILE_IDS)
    assert "<script>alert" not in response.content.decode()
    for name in HOSTILE_IDS:
        assert rows_of(audit(client, service=name)) == [f"slos.other: {name}"]
        page = client.get(reverse("audit-entry", args=[AuditEntry.objects.get(service_id=name).pk]))
        assert page.status_code == 200
        assert "<script>alert" not in page.content.decode()


def test_who_may_not_read_it_hears_who_may(db: None) -> None:
    response = client_of("viewer").get(reverse("audit"))
    assert response.status_code == 403
    assert "Only an SRE admin, an auditor or an owner of the service may do this" in text_of(response)


def test_it_asks_as_much_for_few_entries_as_for_many(db: None) -> None:
    client = client_of("auditor")

    def queries() -> int:
        audit(client)
        with CaptureQueriesContext(connection) as captured:
            audit(client)
        return len(captured)

    entry("slos.other", "api")
    few = queries()
    for at in range(60):
        entry("slos.other", f"service-{at}")
    assert queries() == few <= QUERIES
