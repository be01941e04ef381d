"""Readings of the same hours in any order, against a model of what should be stored after each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.catalog.models import Service
from apps.telemetry.models import ContestedHour, EdgeHour, LatencyHour, SliDay, SliHour
from apps.telemetry.storing.rereading import hours_to_ask_again
from tests.telemetry.scripted import Hour, Scripted, moment, read

pytestmark = pytest.mark.django_db

HOURS = 6
CONFIRM_MINUTES = 5


def clearly_less(less: float, than: float) -> bool:
    return less * 1.02 + 0.5 < than


@dataclass(frozen=True, slots=True)
class Claim:
    """What a later reading said of an hour that stands."""

    hour: Hour
    run: int
    minute: int


@dataclass(slots=True)
class Model:
    """What should be stored of one series, hour by hour, and what is contested."""

    stored: dict[int, Hour] = field(default_factory=dict)
    contested: dict[int, Claim] = field(default_factory=dict)

    def learn(self, number: int, new: Hour, run: int, minute: int, *, trust: bool) -> None:
        old = self.stored.get(number)
        if old is None or old.is_implausible:
            self._take(number, new)
        elif new.is_partial:
            if old.is_partial and not new.is_implausible and new.total >= old.total and new.bad >= old.bad:
                self._take(number, new)
        elif trust:
            self._take(number, new)
        elif new.is_implausible or clearly_less(new.total, old.total) or clearly_less(new.bad, old.bad):
            self._contest(number, new, run, minute)
        elif (
            old.is_partial
            or (new.total >= old.total and new.bad >= old.bad)
            or clearly_less(old.total, new.total)
            or clearly_less(old.bad, new.bad)
        ):
            self._take(number, new)
        else:
            self.contested.pop(number, None)

    def _take(self, number: int, new: Hour) -> None:
        self.stored[number] = new
        self.contested.pop(number, None)

    def _contest(self, number: int, new: Hour, run: int, minute: int) -> None:
        claim = self.contested.get(number)
        if claim is None or not self._agree(claim.hour, new):
            self.contested[number] = Claim(new, run, minute)
        elif run != claim.run and minute - claim.minute >= CONFIRM_MINUTES:
            self._take(number, new)

    @staticmethod
    def _agree(one: Hour, other: Hour) -> bool:
        if one.is_implausible or other.is_implausible:
            return one.is_implausible == other.is_implausible
        return not any(
            clearly_less(*pair) or clearly_less(*pair[::-1])
            for pair in ((one.total, other.total), (one.bad, other.bad))
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One reading: which run, how long after the one before, and what it says of some hours."""

    is_new_run: bool
    minutes: int
    trust: bool
    latency_is_partial: bool
    hours: Mapping[int, Hour]


COUNTS = st.sampled_from([0.0, 0.4, 1.0, 40.0, 96.0, 98.0, 99.0, 100.0, 101.0, 103.0, 250.0])


@st.composite
def hours(draw: st.DrawFn) -> Hour:
    if draw(st.integers(0, 7)) == 0:
        return Hour(is_implausible=True)
    total, bad = sorted((draw(COUNTS), draw(COUNTS)), reverse=True)
    return Hour(total, bad, is_partial=draw(st.integers(0, 3)) == 0)


STEPS = st.builds(
    Step,
    is_new_run=st.integers(0, 4).map(bool),
    minutes=st.sampled_from([0, 4, 5, 60]),
    trust=st.integers(0, 9).map(lambda number: number == 0),
    latency_is_partial=st.booleans(),
    hours=st.dictionaries(st.integers(0, HOURS - 1), hours(), min_size=1, max_size=HOURS),
)


def script(step: Step) -> Scripted:
    source = Scripted(requests={"shop": dict(step.hours)})
    source.calls["shop", "db"] = {n: hour for n, hour in step.hours.items() if not hour.is_implausible}
    source.histograms["shop"] = {n: hour.total for n, hour in step.hours.items() if not hour.is_implausible}
    source.histograms_are_partial = step.latency_is_partial
    if any(hour.is_partial for hour in step.hours.values()):
        source.warnings.append("one store did not answer")
    return source


def stored_requests(service: Service) -> dict[int, Hour]:
    return {
        number_of(row): Hour(row.total, row.bad, row.is_partial, row.is_implausible)
        for row in SliHour.objects.filter(service=service)
    }


def stored_calls(service: Service) -> dict[int, Hour]:
    return {
        number_of(row): Hour(row.total, row.bad, row.is_partial)
        for row in EdgeHour.objects.filter(source=service)
    }


def stored_latency(service: Service) -> dict[int, Hour]:
    return {
        number_of(row): Hour(row.cumulative[-1], 0.0, row.is_partial)
        for row in LatencyHour.objects.filter(service=service)
    }


def number_of(row: SliHour | EdgeHour | LatencyHour | ContestedHour) -> int:
    return (row.bin_start - moment(0)) // timedelta(hours=1)


def contested(measure: str) -> dict[int, Hour]:
    return {
        number_of(row): Hour(row.total, row.bad, is_implausible=row.is_implausible)
        for row in ContestedHour.objects.filter(measure=measure)
    }


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=7))
def test_what_is_stored_is_what_the_model_says(steps: list[Step]) -> None:
    with transaction.atomic():
        shop = Service.objects.create(service_id="shop")
        known = {"shop": shop.pk, "db": Service.objects.create(service_id="db").pk}
        requests, calls, latency = Model(), Model(), Model()
        run = minute = 0
        for step in steps:
            run += step.is_new_run
            minute += step.minutes
            source = script(step)
            before = stored_requests(shop)
            read(source, known, run=run, minute=minute, trust=step.trust)
            for number, hour in step.hours.items():
                # What cannot be true may be so because the answer lacks something.
                told = replace(hour, is_partial=True) if hour.is_implausible and source.warnings else hour
                requests.learn(number, told, run, minute, trust=step.trust)
                if not hour.is_implausible:
                    calls.learn(number, hour, run, minute, trust=step.trust)
                    timed = Hour(hour.total, 0.0, step.latency_is_partial)
                    latency.learn(number, timed, run, minute, trust=step.trust)
            after = stored_requests(shop)
            assert after == requests.stored
            assert stored_calls(shop) == calls.stored
            assert stored_latency(shop) == latency.stored
            for measure, model in (("requests", requests), ("calls", calls), ("latency", latency)):
                assert contested(measure) == {
                    number: replace(claim.hour, is_partial=False) for number, claim in model.contested.items()
                }
            for number, hour in before.items():
                if not hour.is_partial and not hour.is_implausible:
                    assert not after[number].is_partial
            assert sum(day.total for day in SliDay.objects.filter(service=shop)) == pytest.approx(
                sum(hour.total for hour in after.values())
            )
            assert sum(day.observed_seconds for day in SliDay.objects.filter(service=shop)) == 3600 * sum(
                not hour.is_implausible for hour in after.values()
            )
            open_hours = {
                moment(number)
                for model in (requests, calls, latency)
                for number in {*model.contested, *(n for n, hour in model.stored.items() if hour.is_partial)}
            }
            due = hours_to_ask_again(moment(0), moment(HOURS), moment(HOURS))
            assert due.get(shop.pk, frozenset()) >= open_hours
            assert due.keys() <= {shop.pk}
            # Whoever reads the same once more changes nothing.
            read(source, known, run=run, minute=minute)
            if not step.trust:
                assert stored_requests(shop) == after
        transaction.set_rollback(True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=5), truth=st.lists(COUNTS, min_size=HOURS, max_size=HOURS))
def test_asking_again_ends_once_the_source_is_well(steps: list[Step], truth: list[float]) -> None:
    with transaction.atomic():
        shop = Service.objects.create(service_id="shop")
        known = {"shop": shop.pk, "db": Service.objects.create(service_id="db").pk}
        for run, step in enumerate(steps):
            read(script(step), known, run=run, minute=0, trust=step.trust)
        well = Step(
            is_new_run=True,
            minutes=60,
            trust=False,
            latency_is_partial=False,
            hours={number: Hour(total) for number, total in enumerate(truth)},
        )
        for again in range(2):
            read(script(well), known, run=100 + again, minute=60 + again * 60)
        assert hours_to_ask_again(moment(0), moment(HOURS), moment(HOURS)) == {}
        assert not ContestedHour.objects.exists()
        for number, total in enumerate(truth):
            hour = stored_requests(shop)[number]
            assert not clearly_less(hour.total, total)
            assert not clearly_less(total, hour.total)
        transaction.set_rollback(True)


def test_percentiles_give_way_only_to_complete_ones_with_as_many_bins() -> None:
    shop = Service.objects.create(service_id="shop")
    known = {"shop": shop.pk}
    hour = {0: Hour(100, 1)}

    def stored() -> tuple[float, list[float] | None]:
        row = SliHour.objects.get(service=shop)
        return row.total, row.p95_ms

    read(Scripted({"shop": hour}, percentiles={"shop": {0: [80.0, 90.0]}}), known, run=1, minute=0)
    assert stored() == (100, [80.0, 90.0])
    read(Scripted({"shop": {0: Hour(120, 1)}}), known, run=2, minute=10)
    assert stored() == (120, [80.0, 90.0]), "no percentiles are no reason to forget those that were known"
    read(Scripted(percentiles={"shop": {0: [70.0]}}), known, run=3, minute=20)
    assert stored() == (120, [80.0, 90.0])
    away = Scripted(percentiles={"shop": {0: [60.0, 60.0, 60.0]}}, histograms_are_partial=True)
    read(away, known, run=4, minute=30)
    assert stored() == (120, [80.0, 90.0])
    read(Scripted(percentiles={"shop": {0: [81.0, 91.0]}}), known, run=5, minute=40)
    assert stored() == (120, [81.0, 91.0])
    less = Scripted({"shop": {0: Hour(50, 1)}}, percentiles={"shop": {0: [82.0, 92.0]}})
    read(less, known, run=6, minute=50)
    assert stored() == (120, [82.0, 92.0]), "percentiles are judged on their own"


def test_a_histogram_that_lacks_bounds_replaces_none_that_has_them() -> None:
    shop = Service.objects.create(service_id="shop")

    whole, coarse = (50.0, 100.0, math.inf), (100.0, math.inf)
    for run, (bounds, count, stands) in enumerate(
        [(coarse, 100.0, coarse), (whole, 100.0, whole), (coarse, 101.0, whole), (coarse, 150.0, coarse)]
    ):
        source = Scripted(
            requests={"shop": {0: Hour(count)}}, histograms={"shop": {0: count}}, bounds_ms=bounds
        )
        read(source, {"shop": shop.pk}, run=run, minute=10 * run, trust=False)
        assert tuple(LatencyHour.objects.get(service_id=shop.pk).bounds_ms) == stands
