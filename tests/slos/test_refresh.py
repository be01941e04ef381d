"""What the hourly refresh touches: what changed, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.models import Run
from apps.core.runs import kinds
from apps.slos import runs
from apps.slos.making import compute as computing
from apps.slos.making import storing
from apps.slos.models import ActiveSlo, Recommendation, ServiceStatus
from apps.slos.objectives import status
from tests.slos.conftest import DAY, HOUR, compute, current, full_hour, make_hours, make_service


@pytest.fixture
def pair(db: None) -> tuple[Service, Service]:
    """Two services whose data ended an hour ago, with recommendations and statuses."""
    found = (make_service("moving"), make_service("still"))
    for service in found:
        end = make_hours(service, days=35, end=full_hour() - HOUR)
        compute(service, as_of=end)
    status.refresh()
    return found


def row(service: Service) -> dict[str, Any]:
    return dict(ServiceStatus.objects.filter(service=service).values().get())


def test_a_status_is_computed_when_an_hour_has_come_and_left_alone_otherwise(
    pair: tuple[Service, Service],
) -> None:
    moving, still = pair
    before = row(still)
    make_hours(moving, days=1 / 24)
    assert status.refresh() == 1
    assert row(moving)["as_of"] == full_hour()
    assert row(still) == before
    assert status.refresh() == 0


def test_a_changed_slo_is_a_change(pair: tuple[Service, Service]) -> None:
    ActiveSlo.objects.create(
        service=pair[1], sli_type="availability", target="0.99", window_days=28, source="manual"
    )
    assert status.changed() == [pair[1].pk]
    status.refresh()
    assert row(pair[1])["target"] == 0.99


def test_hours_that_were_read_again_are_a_change(pair: tuple[Service, Service]) -> None:
    assert status.changed(since=full_hour() - 3 * HOUR) == sorted(each.pk for each in pair)
    assert status.changed(since=full_hour()) == []


def test_a_service_that_falls_a_day_behind_the_fleet_is_judged_anew(pair: tuple[Service, Service]) -> None:
    moving, still = pair
    later = timezone.now() + 2 * DAY
    make_hours(moving, days=1, end=full_hour() + 2 * DAY)
    assert status.refresh(now=later) == 2
    assert row(still)["state"] == "no_data"
    assert status.refresh(now=later) == 0


def test_everything_may_be_asked_for(pair: tuple[Service, Service]) -> None:
    assert status.refresh(everything=True) == 2


def test_what_would_come_out_the_same_is_prolonged_and_not_made_anew(pair: tuple[Service, Service]) -> None:
    moving, still = pair
    make_hours(moving, days=1 / 24)
    soon = timezone.now() + timedelta(minutes=30)
    Recommendation.objects.update(expires_at=soon)
    before = Recommendation.objects.filter(service=still).order_by("sli_type")
    was = list(before.values("pk", "document", "generated_at", "version"))
    assert computing.refresh(None, reason="hourly refresh") == 1
    assert current(moving).as_of == full_hour()
    assert list(before.values("pk", "document", "generated_at", "version")) == was
    assert current(still).expires_at > timezone.now() + storing.LIFETIME - timedelta(minutes=5)


def test_what_was_outdated_is_made_anew_without_new_data(pair: tuple[Service, Service]) -> None:
    storing.mark_outdated([pair[1].pk])
    old = current(pair[1]).pk
    assert computing.refresh(None, reason="hourly refresh") == 1
    assert current(pair[1]).pk != old


def test_one_hour_more_makes_no_recommendation_anew(pair: tuple[Service, Service]) -> None:
    make_hours(pair[0], days=1 / 24)
    assert computing.refresh(None, reason="hourly refresh") == 0
    Recommendation.objects.update(as_of=F("as_of") - DAY)
    assert computing.refresh(None, reason="hourly refresh") == 2


def test_a_service_is_judged_at_the_end_of_its_own_data_or_the_fleets(pair: tuple[Service, Service]) -> None:
    old, new = make_service("old"), make_service("new")
    make_hours(old, days=2, end=full_hour() - 10 * DAY)
    assert computing.service_as_of(old.pk, timezone.now()) == full_hour() - 10 * DAY
    assert computing.service_as_of(new.pk, timezone.now()) == full_hour() - HOUR


@pytest.mark.parametrize(
    ("services", "words"),
    [(None, "all services: data"), ([1], "1 service: data"), ([1, 2], "2 services: data")],
)
def test_the_list_of_long_work_says_of_how_many_it_is_made(
    db: None, services: list[int] | None, words: str
) -> None:
    with transaction.atomic():
        runs.refresh_recommendations(services, reason="data")
    run = Run.objects.get()
    assert kinds.get(run.kind).label_of(run) == words


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [([1, 2], [2, 3], [1, 2, 3]), ([1, 2], None, None), (None, [1, 2], None), (None, None, None)],
)
def test_requests_that_wait_together_lose_nothing_that_was_asked_for(
    first: list[int] | None, second: list[int] | None, both: list[int] | None
) -> None:
    early, late = full_hour() - DAY, full_hour()
    merge, merge_status = kinds.get(runs.REFRESH).merge, kinds.get(runs.REFRESH_STATUS).merge
    assert merge is not None
    assert merge_status is not None
    one = runs.Refresh(services=first, reason="graph", outdated=late)
    other = runs.Refresh(services=second, reason="data", outdated=early)
    assert merge(one, other) == runs.Refresh(services=both, reason="graph; data", outdated=late)
    assert merge(other, one) == runs.Refresh(services=both, reason="data; graph", outdated=late)
    counts = runs.RefreshStatus(services=first, since=late)
    every = runs.RefreshStatus(services=second, since=early, everything=True)
    for found in (merge_status(counts, every), merge_status(every, counts)):
        assert found == runs.RefreshStatus(services=both, since=early, everything=True)


def test_a_recommendation_made_anew_is_listed_under_its_service(db: None) -> None:
    service, actor = make_service("checkout"), Actor.system("tests")
    with transaction.atomic():
        made = runs.regenerate(service, ticket="t", actor=actor)
    kind = kinds.get(made.kind)
    assert kind.label_of(made) == "checkout"
    assert kind.subject_of(made).label == "checkout"
    service.delete()
    assert kind.label_of(made) == "a service that is gone"
