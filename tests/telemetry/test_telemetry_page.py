"""Where telemetry comes from, how one service is read, and the page of one reading."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from apps.catalog.models import Service
from apps.telemetry.models import SliDay, SliHour, TelemetryRun
from apps.telemetry.queries import DAY
from apps.telemetry.storing.aggregates import ensure_partitions
from tests.pages import HOSTILE_IDS, HTMX, ROLES, client_of, text_of
from tests.telemetry.prometheus_server import Server


def run(**values: Any) -> TelemetryRun:
    given = {"kind": "telemetry.import", "source": "files", "requested_by_name": "sam"} | values
    return TelemetryRun.objects.create(**given)


def run_page(client: Client, one: TelemetryRun, **more: Any) -> Any:
    return client.get(reverse("run", args=[one.pk]), **more)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_them(db: None, role: str) -> None:
    client = client_of(role)
    assert client.get(reverse("telemetry")).status_code == 200
    assert run_page(client, run()).status_code == 200


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(db: None, client: Client) -> None:
    for response in (client.get(reverse("telemetry")), run_page(client, run())):
        assert response["Location"].startswith(reverse("login"))


def test_without_a_source_it_says_what_to_set(db: None) -> None:
    words = text_of(client_of("viewer").get(reverse("telemetry")))
    assert "No Prometheus is connected" in words
    assert "PROMETHEUS_URL" in words


def test_a_service_is_explained_by_what_is_asked_and_what_came_back(db: None, prometheus: Server) -> None:
    words = text_of(client_of("viewer").get(reverse("telemetry-check"), {"service": "checkout"}))
    assert "answers" in words
    assert "http_requests_total" in words


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_a_name_of_any_characters_is_asked_for_as_it_is(db: None, prometheus: Server, name: str) -> None:
    response = client_of("viewer").get(reverse("telemetry-check"), {"service": name})
    assert response.status_code == 200
    assert "<script>alert" not in response.content.decode()


def test_a_source_that_does_not_answer_is_said_to(db: None, settings: Settings) -> None:
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"  # Nothing listens on the discard port.
    words = text_of(client_of("viewer").get(reverse("telemetry-check")))
    assert "does not answer" in words


def test_a_reading_that_is_not_there_is_a_404(db: None) -> None:
    assert client_of("viewer").get(reverse("run", args=[uuid4()])).status_code == 404


@pytest.mark.parametrize(("kind", "room"), [("import", "Imports"), ("collection", "Telemetry")])
def test_the_page_of_a_run_leads_back_to_the_room_that_it_belongs_to(db: None, kind: str, room: str) -> None:
    html = run_page(client_of("viewer"), run(kind=f"telemetry.{kind}")).content.decode()
    assert re.search(rf'<ol><li><a href="[^"]+">{room}</a>', html)


@pytest.mark.parametrize("name", ["telemetry-run", "import-run"])
def test_addresses_of_old_lead_to_the_page_of_the_run(db: None, name: str) -> None:
    one = run()
    response = client_of("viewer").get(reverse(name, args=[one.pk]))
    assert (response.status_code, response["Location"]) == (301, reverse("run", args=[one.pk]))


def test_a_reading_that_goes_on_is_asked_after_again(db: None) -> None:
    running = run(state="running", lease_until=timezone.now(), progress_done=3, progress_total=9)
    html = run_page(client_of("viewer"), running).content.decode()
    assert 'hx-trigger="every 1s"' in html
    assert 'max="9" value="3"' in html
    fragment = run_page(client_of("viewer"), running, headers=HTMX).content.decode()
    assert "<html" not in fragment


def test_a_reading_that_is_over_rests_and_says_what_it_did(db: None) -> None:
    over = run(state="completed", summary={"rows": {"sli.csv": 1234}, "hours": 48}, warnings=["<b>late</b>"])
    response = run_page(client_of("viewer"), over)
    assert "every 1s" not in response.content.decode()
    assert "rows, sli.csv 1,234" in text_of(response)
    assert "<b>late" not in response.content.decode()


def test_a_reading_that_failed_names_file_line_and_field(db: None) -> None:
    errors = [{"file": "sli.csv", "line": 50, "field": "total", "reason": "'many' is not a number"}]
    failed = run(state="failed", errors=errors, error_count=1, summary={"failure": "Nothing was imported."})
    words = text_of(run_page(client_of("viewer"), failed))
    assert "failed: nothing was changed" in words
    assert "Nothing was imported." in words
    assert "1 problem" in words
    assert "sli.csv line 50 total 'many' is not a number" in words


def test_it_says_for_how_many_services_there_is_data_and_what_the_others_are(db: None) -> None:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    ensure_partitions((now - 60 * DAY).date(), now.date())
    ids = ("heard", "silent", "long-ago", "partner")
    services = {name: Service.objects.create(service_id=name, is_external=name == "partner") for name in ids}
    for name, age, total in (("heard", 1, 10.0), ("silent", 1, 0.0), ("long-ago", 30, 10.0)):
        start = (now - age * DAY).replace(hour=0)
        SliDay.objects.create(
            service=services[name], bin_start=start, total=total, bad=0, observed_seconds=86400
        )
        SliHour.objects.create(
            service=services[name], bin_start=start, total=total, bad=0, observed_seconds=3600
        )
    words = text_of(client_of("viewer").get(reverse("telemetry")))
    assert "1 of 4 1 external service seen only by callers, 2 services without requests" in words


@pytest.mark.parametrize("role", ROLES)
def test_who_may_collect_finds_the_levers_where_a_source_is_set(
    db: None, settings: Settings, role: str
) -> None:
    client = client_of(role)
    assert "Discover services" not in text_of(client.get(reverse("telemetry")))
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    html = client.get(reverse("telemetry")).content.decode()
    assert (reverse("action", args=["telemetry.discover"]) in html) == (role == "sre_admin")
    assert (reverse("action", args=["telemetry.backfill"]) in html) == (role == "sre_admin")
