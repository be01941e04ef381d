"""What readings found out about the data, in the words and the numbers of a recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.types import Quality
from apps.slos.documents.data_findings import MOST_SENTENCES, UNNAMED, Counted, first_day_named, tell
from apps.slos.making import inputs
from apps.telemetry.findings import KINDS
from apps.telemetry.models import FindingDay, SliHour
from apps.telemetry.queries import StoredFinding
from apps.telemetry.storing.noting import by_day
from tests.pages import client_of, links, text_of
from tests.slos.conftest import compute, full_hour, make_hours, make_service, steady

END = datetime(2026, 11, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DETAILS: dict[str, dict[str, Any]] = {
    "failures_unseen": {"query": 'code=~"5.."', "labels": "", "condition": "nothing ever fails"},
    "every_request_failed": {"query": "code"},
    "dip": {"fall": 12},
    "jump": {"times": 40, "total": "2,000,000"},
    "births_counted": {"series": 2, "requests": 5, "failures": 0},
    "environments": {"count": 2, "label": "env", "shares": "half each", "matcher": "env!=staging"},
    "ratio_alone": {"metric": "error_ratio"},
}


def finding(kind: str, hours_ago: Sequence[int], subject: str = "") -> StoredFinding:
    """A finding of so many hours before the end."""
    starts = sorted(END - ago * HOUR for ago in hours_ago)
    masks = dict(by_day(int(start.timestamp()) for start in starts))
    return StoredFinding(kind, subject, len(starts), starts[0], starts[-1], DETAILS[kind], masks)


def store(pk: int, kind: str, starts: Sequence[datetime], subject: str = "") -> None:
    for day, hours in by_day(int(start.timestamp()) for start in starts):
        FindingDay.objects.create(
            service_id=pk,
            day=day,
            kind=kind,
            subject=subject,
            hours=hours,
            detail=DETAILS[kind],
            first_seen_at=END,
            updated_at=END,
        )


def test_what_matters_most_comes_first_and_each_says_when() -> None:
    told = tell(
        [
            finding("births_counted", [3]),
            finding("dip", [100, 200]),
            finding("environments", range(1, 300)),
            finding("failures_unseen", range(1, 25)),
        ],
        Counted(implausible=2),
        END,
    )
    assert [sentence.split(" ")[0] for sentence in told.warnings] == ["No", "This", "The", "In"]
    assert told.warnings[0].endswith("nothing ever fails. Since 2026-11-09.")
    assert told.warnings[2].endswith("2 hours left out. From 2026-11-02 to 2026-11-06.")
    assert told.warnings[3].endswith("they were added. On 2026-11-10.")
    assert told.doubts == (("environments", 0.6), ("failures_unseen", 0.5))
    assert told.left_out == (("a counter fell and went on", 2),)


def test_a_kind_with_several_subjects_is_doubted_once() -> None:
    told = tell([finding("environments", [1], "env"), finding("environments", [2], "region")], Counted(), END)
    assert told.doubts == (("environments", 0.6),)
    assert len(told.warnings) == 2


def test_failures_that_were_seen_in_any_hour_say_that_they_are_counted() -> None:
    unseen = [finding("failures_unseen", [1, 2])]
    assert tell(unseen, Counted(has_failures=False), END).doubts
    assert tell(unseen, Counted(has_failures=True), END) == tell([], Counted(), END)


def test_every_request_failed_stands_only_while_nothing_else_ever_happened() -> None:
    failed = [finding("every_request_failed", [1, 2])]
    assert tell(failed, Counted(has_failures=True, has_only_failures=True), END).doubts
    assert not tell(failed, Counted(has_failures=True), END).warnings


def test_hours_left_out_are_counted_once_and_those_without_a_reason_by_themselves() -> None:
    told = tell([finding("dip", [1, 2, 3]), finding("jump", [3, 4])], Counted(implausible=6), END)
    assert dict(told.left_out) == {
        "a counter fell and went on": 3,
        "an hour out of all proportion": 2,
        UNNAMED: 2,
    }


def test_of_very_many_findings_the_number_is_told() -> None:
    many = [
        finding("births_counted", [number + 1], f"family {number}") for number in range(MOST_SENTENCES + 3)
    ]
    told = tell(many, Counted(), END)
    assert len(told.warnings) == MOST_SENTENCES + 1
    assert told.warnings[-1] == "And 3 more findings, which the telemetry page of the service lists."
    assert first_day_named(told.warnings[-1]) is None


@given(
    st.sampled_from(sorted(DETAILS)),
    st.sets(st.integers(1, 2000), min_size=1, max_size=20),
)
def test_of_every_sentence_the_day_that_it_speaks_of_first_can_be_told(kind: str, ago: set[int]) -> None:
    one = finding(kind, sorted(ago))
    (sentence,) = tell([one], Counted(has_only_failures=True), END).warnings
    assert first_day_named(sentence) == one.first.date()


def test_sentences_that_are_not_about_findings_have_no_day() -> None:
    assert first_day_named("Daily counts were used, since hours do not reach back far enough.") is None
    assert first_day_named("") is None


@pytest.mark.django_db
def test_the_engine_is_told_what_is_known_of_the_hours_it_is_given() -> None:
    service = make_service("checkout")
    end = make_hours(service, days=60, fails=steady(0))
    newest = [end - ago * HOUR for ago in range(1, 49)]
    store(service.pk, "failures_unseen", newest)
    store(service.pk, "dip", [end - timedelta(days=130)])
    SliHour.objects.filter(service=service, bin_start=newest[-1]).update(
        total=0, bad=0, observed_seconds=0, is_implausible=True
    )
    SliHour.objects.filter(service=service, bin_start__in=newest[:2]).update(is_partial=True)
    (given_to,) = inputs.load([service], end)
    assert given_to.quality.doubts == (("failures_unseen", 0.5),)
    assert given_to.quality.left_out == ((UNNAMED, 1),)
    assert (given_to.quality.implausible_bins, given_to.quality.partial_bins) == (1, 2)
    (sentence,) = given_to.quality.source_warnings
    assert first_day_named(sentence) == newest[-1].date()


@pytest.mark.django_db
def test_nothing_known_is_nothing_told() -> None:
    service = make_service("checkout")
    end = make_hours(service, days=10)
    (given_to,) = inputs.load([service], end)
    assert given_to.quality == Quality()


@pytest.mark.django_db
def test_findings_of_many_services_are_read_at_once() -> None:
    end = full_hour()
    services = [make_service(f"service-{number}") for number in range(6)]
    for service in services:
        make_hours(service, days=3, end=end)
        store(service.pk, "births_counted", [end - 2 * HOUR])
    asked = []
    for some in (services[:1], services):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            loaded = inputs.load(some, end, cycles={})
        asked.append(len(queries))
        assert all(one.quality.source_warnings for one in loaded)
    assert asked[0] == asked[1]


@pytest.mark.django_db
def test_the_page_leads_from_a_finding_to_its_time() -> None:
    service = make_service("checkout")
    end = make_hours(service, days=60, fails=steady(0))
    first = end - 30 * HOUR
    store(service.pk, "failures_unseen", [first, end - HOUR])
    compute(service)
    response = client_of("viewer").get(f"/services/{service.service_id}/")
    assert "No failure was ever counted" in text_of(response)
    day = date(first.year, first.month, first.day)
    assert f"/telemetry/?service=checkout&from={day}T00%3A00%3A00Z" in " ".join(links(response))


def test_every_kind_left_out_has_a_title_to_be_counted_under() -> None:
    assert all(kind.title for kind in KINDS.values())
    assert UNNAMED not in {kind.title for kind in KINDS.values()}


@pytest.mark.django_db
def test_of_a_service_whose_every_hour_was_left_out_the_number_is_known() -> None:
    service = make_service("checkout")
    end = full_hour()
    hours = [end - ago * HOUR for ago in range(1, 31)]
    store(service.pk, "dip", hours)
    store(service.pk, "jump", hours[:2])
    (given_to,) = inputs.load([service], end)
    assert given_to.counts is None
    assert given_to.quality.implausible_bins == 30
