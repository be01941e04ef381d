"""The page of one service's data: which family was read when, what was left out, what is in doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.catalog.models import Service
from apps.telemetry.models import FindingDay, SliHour, StretchDay
from apps.telemetry.presenting import service_data
from apps.telemetry.storing.aggregates import ensure_partitions
from apps.ui.charts import DayOfHours, hours_by_day
from tests.pages import ROLES, client_of, text_of

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def shop() -> Service:
    """Two days: one whole; of the other three hours left out, two in part, one missing."""
    today = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    service = Service.objects.create(service_id="shop")
    ensure_partitions((today - 3 * DAY).date(), today.date())
    for number in range(47):
        is_left_out, is_partial = number in range(30, 33), number in range(40, 42)
        SliHour.objects.create(
            service=service,
            bin_start=today - 2 * DAY + number * HOUR,
            total=0 if is_left_out else 100,
            bad=0 if is_left_out else 1,
            observed_seconds=0 if is_left_out else 3600,
            is_partial=is_partial,
            is_implausible=is_left_out,
        )
    day = (today - DAY).date()
    known = {"service": service, "first_seen_at": today, "updated_at": today}
    detail = {"times": "4,000", "total": "36,000,000"}
    FindingDay.objects.create(day=day, kind="jump", hours=0b111 << 6, detail=detail, **known)
    detail = {"query": "x{code=~5..}", "condition": "it is so"}
    FindingDay.objects.create(day=day, kind="failures_unseen", hours=1, detail=detail, **known)
    for number, family in ((2, "http"), (1, "otel-http")):
        StretchDay.objects.create(
            service=service, day=(today - number * DAY).date(), family=family, hours=(1 << 24) - 1
        )
    return service


@pytest.mark.parametrize("role", ROLES)
def test_everybody_sees_what_was_read_when_and_what_was_left_out(shop: Service, role: str) -> None:
    words = text_of(client_of(role).get(reverse("telemetry"), {"service": "shop"}))
    assert "44 hours with data, 3 left out" in words
    assert "4,400 44 failed" in words
    assert "An hour out of all proportion left out" in words
    assert "up to 4,000 times the usual traffic" in words
    assert "Failures never counted in doubt" in words
    assert words.index("An hour out of all proportion") < words.index("Failures never counted")
    assert words.index("http") < words.index("otel-http")


def test_each_stretch_says_what_it_lacks(shop: Service) -> None:
    data = service_data(shop.pk, None, timezone.now())
    assert data is not None
    first, second = data.stretches
    assert (first.family, first.hours, first.implausible, first.partial) == ("http", 24, 0, 0)
    assert (second.family, second.hours, second.implausible, second.partial) == ("otel-http", 20, 3, 2)


def test_it_begins_where_a_link_says(shop: Service) -> None:
    now = timezone.now()
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    data = service_data(shop.pk, start, now)
    assert data is not None
    assert (data.start, data.hours) == (start, 20)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-45", "0001-01-01", "9999-12-31T23:59:59+14:00", "\x00"]
)
def test_an_address_with_any_start_is_answered(shop: Service, text: str) -> None:
    response = client_of("viewer").get(reverse("telemetry"), {"service": "shop", "from": text})
    assert response.status_code == 200


def test_a_service_without_hours_and_one_that_nobody_knows_are_told_apart(shop: Service) -> None:
    Service.objects.create(service_id="new")
    client = client_of("viewer")
    assert "Ballast has not read anything yet for new" in text_of(
        client.get(reverse("telemetry"), {"service": "new"})
    )
    assert "The catalog has no service nobody" in text_of(
        client.get(reverse("telemetry"), {"service": "nobody"})
    )


def test_the_drawing_says_what_it_shows() -> None:
    days = [DayOfHours(datetime(2026, 11, day, tzinfo=UTC).date(), 20, 1, 2) for day in (1, 2)]
    chart = hours_by_day(days)
    assert chart.alternative == "Hours of 2 days: 40 complete, 2 partial, 4 left out, 2 missing."
    assert chart.table.rows[0][1:] == ("20", "1", "2")
    assert hours_by_day([]).alternative == "No hours were read."
