"""What is made of counts and their evidence: nothing is lost without a word, and nothing made up."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.clients.base import CountBins, Finding
from apps.telemetry.clients.counts.counting import Evidence
from apps.telemetry.clients.counts.diagnosis import Cause, Diagnosis
from apps.telemetry.clients.counts.plausibility import Judge
from apps.telemetry.clients.counts.ways import Settled
from apps.telemetry.findings import KINDS, Effect, words

HOUR = 3600
START = 490_000 * HOUR
seeds = st.integers(0, 10**9)


def ends(count: int) -> list[int]:
    return [START + (hour + 1) * HOUR for hour in range(count)]


def judged(
    evidence: Evidence, cause: Cause | None = Cause.RESTART, usual: dict[int, float] | None = None
) -> tuple[CountBins, dict[str, Finding]]:
    def look(ends_at: int, of_bad: bool, by_falls: bool) -> Diagnosis | None:
        return None if cause is None else Diagnosis(cause, 24, 36, 620_820.0, 620_760.0)

    judge = Judge(evidence, HOUR, usual or {}, look)
    bins = judge.bins()
    return bins, {finding.kind: finding for finding in judge.findings}


def steady(hours: int = 72, total: float = 360.0, bad: float = 3.0) -> Evidence:
    return Evidence(Settled(), dict.fromkeys(ends(hours), total), dict.fromkeys(ends(hours), bad))


def test_several_writers_leave_their_hours_out() -> None:
    evidence = steady()
    evidence.worst_resets = dict.fromkeys(ends(72)[10:20], 0.6)
    bins, findings = judged(evidence, Cause.SEVERAL_WRITERS)
    assert bins.implausible == [at - HOUR for at in ends(72)[10:20]]
    assert findings["several_writers"].hours == set(bins.implausible)


def test_a_crash_loop_stays_in_the_numbers() -> None:
    evidence = steady()
    evidence.worst_resets = dict.fromkeys(ends(72)[10:20], 0.25)
    evidence.resets = dict.fromkeys(ends(72)[10:20], 12.0)
    bins, findings = judged(evidence, Cause.RESTART)
    assert bins.implausible == []
    assert not findings


def test_where_samples_cannot_be_had_only_the_plainest_writers_are_left_out() -> None:
    evidence = steady()
    evidence.worst_resets = {ends(72)[10]: 0.2, ends(72)[11]: 0.5}
    assert judged(evidence, None)[0].implausible == [ends(72)[11] - HOUR]


def test_a_dip_leaves_out_the_hour_that_counts_the_whole_counter() -> None:
    evidence = steady()
    at = ends(72)[40]
    evidence.total[at], evidence.resets[at] = 621_120.0, 1.0
    bins, findings = judged(evidence, Cause.DIP)
    assert bins.implausible == [at - HOUR]
    assert findings["dip"].detail["fall"] == "60 of 620,820"


def test_a_busy_hour_with_a_restart_is_believed() -> None:
    evidence = steady()
    at = ends(72)[40]
    evidence.total[at], evidence.resets[at] = 36_000.0, 1.0
    assert judged(evidence, Cause.RESTART)[0].implausible == []


@given(seeds, st.integers(1, 60))
def test_what_series_begin_with_is_added_and_said(seed: int, births: int) -> None:
    source = random.Random(seed)
    evidence = steady(bad=0.0)
    some = source.sample(ends(72), min(births, 72))
    for at in some:
        evidence.births[at] = float(source.randint(1, 150))
        evidence.bad_births[at] = float(source.randint(0, int(evidence.births[at])))
        evidence.born[at] = 1.0
    bins, findings = judged(evidence)
    assert math.isclose(sum(bins.total), 72 * 360.0 + sum(evidence.births.values()))
    assert math.isclose(sum(bins.bad), sum(evidence.bad_births.values()))
    assert findings["births_counted"].hours == {at - HOUR for at in some}


def test_a_counter_first_seen_far_above_zero_is_not_added_but_said() -> None:
    evidence = steady()
    at = ends(72)[30]
    evidence.births[at] = 620_000.0
    bins, findings = judged(evidence)
    assert bins.total == [360.0] * 72
    assert findings["births_unknown"].hours == {at - HOUR}


def test_no_failure_seen_by_a_query_that_cannot_match_is_a_question() -> None:
    evidence = Evidence(Settled(unseen="x{code=~5..}", condition="so it is"), dict.fromkeys(ends(5), 10.0))
    assert judged(evidence)[1]["failures_unseen"].hours == {at - HOUR for at in ends(5)}
    evidence.bad = {ends(5)[0]: 1.0}
    assert "failures_unseen" not in judged(evidence)[1]


def test_failures_of_every_request_are_a_question() -> None:
    assert "every_request_failed" in judged(steady(bad=360.0))[1]
    some = steady(bad=360.0)
    some.bad[ends(72)[0]] = 0.0
    assert "every_request_failed" not in judged(some)[1]


@given(seeds)
def test_each_hour_is_counted_or_left_out_with_a_reason(seed: int) -> None:
    source = random.Random(seed)
    evidence = Evidence(Settled())
    for at in ends(source.randint(1, 100)):
        if source.random() < 0.9:
            evidence.total[at] = source.choice([0.0, 5.0, 360.0, 1e9, -3.0, math.nan, math.inf])
        if source.random() < 0.7:
            evidence.bad[at] = source.choice([0.0, 1.0, 360.0, -1.0, math.nan, math.inf])
        if source.random() < 0.3:
            evidence.resets[at] = float(source.randint(1, 30))
            evidence.worst_resets[at] = source.random()
        if source.random() < 0.2:
            evidence.births[at] = source.choice([1.0, 100.0, 1e7])
            evidence.bad_births[at] = source.choice([0.0, 1.0, 100.0, 1e7])
        if source.random() < 0.1:
            evidence.partial.add(at)
    cause = source.choice([None, *Cause])
    judge = Judge(
        evidence, HOUR, {}, lambda *_: None if cause is None else Diagnosis(cause, 5, 20, 100.0, 50.0)
    )
    bins = judge.bins()
    starts = {at - HOUR for at in evidence.total.keys() | evidence.bad.keys()}
    assert set(bins.at).isdisjoint(bins.implausible)
    assert {*bins.at, *bins.implausible} == starts
    for total, bad in zip(bins.total, bins.bad, strict=True):
        assert 0 <= bad <= total < math.inf
    left_out = {at for one in judge.findings if KINDS[one.kind].effect is Effect.LEFT_OUT for at in one.hours}
    assert left_out == set(bins.implausible)
    for finding in judge.findings:
        assert finding.hours <= starts
        assert words(finding.kind, finding.detail, len(finding.hours))


def test_dips_of_many_hours_are_told_from_the_hours_without() -> None:
    evidence = steady(hours=200)
    for at in ends(200)[10::12]:
        evidence.total[at], evidence.resets[at] = 621_120.0, 1.0
    assert judged(evidence, Cause.DIP)[1]["dip"].hours == {at - HOUR for at in ends(200)[10::12]}


def test_what_falls_hour_after_hour_is_no_counter() -> None:
    evidence = steady()
    evidence.worst_resets = dict.fromkeys(ends(72), 0.5)
    bins, findings = judged(evidence, Cause.RESTART)
    assert len(bins.implausible) == 72
    assert findings["no_counter"].detail["share"] == "50%"


@given(seeds)
def test_dips_in_every_hour_are_left_out_and_restarts_in_every_hour_are_not(seed: int) -> None:
    source = random.Random(seed)
    hours = source.randint(1, 72)
    of_bad = source.random() < 0.5
    evidence = steady(hours, total=1e7)
    for at in ends(hours):
        counted, resets = (evidence.bad, evidence.bad_resets) if of_bad else (evidence.total, evidence.resets)
        counted[at], resets[at] = source.uniform(0.9, 1.1) * 620_000.0, 1.0
    left_out, findings = judged(evidence, Cause.DIP)
    assert left_out.at == []
    assert findings["dip"].hours == {at - HOUR for at in ends(hours)}
    believed, findings = judged(evidence, Cause.RESTART)
    assert believed.implausible == []
    assert not findings


def test_a_dip_that_adds_next_to_nothing_costs_no_hour() -> None:
    evidence = steady(total=1e8)
    evidence.resets = dict.fromkeys(ends(72), 1.0)
    assert judged(evidence, Cause.DIP)[0].implausible == []


def test_writers_of_a_failures_counter_of_its_own_are_told() -> None:
    evidence = steady()
    evidence.bad_worst_resets = dict.fromkeys(ends(72)[10:20], 0.6)
    bins, findings = judged(evidence, Cause.SEVERAL_WRITERS)
    assert findings["several_writers"].hours == set(bins.implausible) == {at - HOUR for at in ends(72)[10:20]}


@given(seeds)
def test_no_counter_is_believed_where_it_rises_for_once(seed: int) -> None:
    """A gauge rises by chance for hours; hours after it was mended count."""
    source = random.Random(seed)
    evidence = steady(120)
    mended = source.randint(80, 110)
    rising = set(source.sample(ends(mended)[1:-1], 15))
    evidence.worst_resets = {at: 0.5 for at in ends(mended) if at not in rising}
    runs = max(
        len(run) for run in "".join("r" if at in rising else " " for at in ends(mended)).split() or [""]
    )
    bins, _ = judged(evidence, Cause.RESTART)
    assert set(bins.at) >= {at - HOUR for at in ends(120)[mended:]}
    if runs < 6:
        assert bins.at == [at - HOUR for at in ends(120)[mended:]]
