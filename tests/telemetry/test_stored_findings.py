"""What readings found out stays with the hours it was found in, and goes when they are read anew."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.catalog.models import Service
from apps.telemetry import queries
from apps.telemetry.clients.base import Finding
from apps.telemetry.findings import KINDS
from apps.telemetry.models import FindingDay, SliHour, StretchDay
from apps.telemetry.queries.findings import within
from apps.telemetry.storing.aggregates import ensure_partitions
from apps.telemetry.storing.noting import by_day
from apps.telemetry.storing.retention import HOURS_KEPT_DAYS, drop_old
from tests.telemetry.folders import SLI, import_folder, write, write_services
from tests.telemetry.scripted import BEGIN, Hour, Scripted, at, moment, read

pytestmark = pytest.mark.django_db

UNSEEN = {"query": 'code=~"5.."', "labels": "", "condition": "nothing fails"}
WHOLE = Hour(100, 1)


@pytest.fixture
def known() -> dict[str, int]:
    return {name: Service.objects.create(service_id=name).pk for name in ("shop", "db")}


def unseen(*hours: int) -> Finding:
    return Finding("failures_unseen", {at(number) for number in hours}, dict(UNSEEN))


def found_hours(pk: int, kind: str, subject: str | None = None) -> set[int]:
    """The numbers of the hours that are stored with a kind of finding."""
    rows = FindingDay.objects.filter(service_id=pk, kind=kind)
    if subject is not None:
        rows = rows.filter(subject=subject)
    return {
        (datetime(row.day.year, row.day.month, row.day.day, bit, tzinfo=UTC) - BEGIN) // timedelta(hours=1)
        for row in rows
        for bit in range(24)
        if row.hours >> bit & 1
    }


def test_a_finding_is_stored_by_the_day_and_told_as_one(known: dict[str, int]) -> None:
    source = Scripted({"shop": dict.fromkeys(range(6), WHOLE)}, findings={"shop": [unseen(1, 2, 3, 4)]})
    result = read(source, known, run=1, minute=0)
    assert result.summary()["findings"] == {"failures_unseen": 1}
    assert FindingDay.objects.count() == 2
    ((finding,),) = queries.findings_in(list(known.values()), moment(0), moment(6)).values()
    assert (finding.kind, finding.hours, finding.first, finding.last) == (
        "failures_unseen",
        4,
        moment(1),
        moment(4),
    )
    assert finding.words == KINDS["failures_unseen"].sentence.format_map(UNSEEN)


def test_only_hours_of_the_window_are_told(known: dict[str, int]) -> None:
    source = Scripted({"shop": dict.fromkeys(range(6), WHOLE)}, findings={"shop": [unseen(1, 2, 3, 4)]})
    read(source, known, run=1, minute=0)
    ((finding,),) = queries.findings_in([known["shop"]], moment(2), moment(4)).values()
    assert (finding.hours, finding.first, finding.last) == (2, moment(2), moment(3))
    assert queries.findings_in([known["shop"]], moment(5), moment(6)) == {}
    assert queries.findings_in([known["db"]], moment(0), moment(6)) == {}


def test_hours_that_were_not_asked_for_are_left_as_they_are(known: dict[str, int]) -> None:
    source = Scripted({"shop": dict.fromkeys(range(6), WHOLE)}, findings={"shop": [unseen(*range(6))]})
    read(source, known, run=1, minute=0)
    read(source, known, run=2, minute=1, hours=(3, 4))
    assert found_hours(known["shop"], "failures_unseen") == set(range(6))
    read(Scripted({"shop": {3: WHOLE}}), known, run=3, minute=2, hours=(3, 4))
    assert found_hours(known["shop"], "failures_unseen") == set(range(6)) - {3}


def test_findings_about_latencies_may_have_a_window_of_their_own(known: dict[str, int]) -> None:
    left_out = Finding("percentiles_impossible", {at(0), at(5)}, {"bins": 2})
    read(Scripted(findings={"shop": [left_out]}), known, run=1, minute=0)
    ((finding,),) = queries.findings_in(
        [known["shop"]], moment(0), moment(6), latency_start=moment(1)
    ).values()
    assert (finding.hours, finding.words) == (
        1,
        "1 hour with percentiles left out that are below a smaller percentile of the same time.",
    )


def test_a_finding_that_is_gone_when_its_hours_are_read_again_goes(known: dict[str, int]) -> None:
    source = Scripted({"shop": dict.fromkeys(range(6), WHOLE)}, findings={"shop": [unseen(*range(6))]})
    read(source, known, run=1, minute=0)
    read(Scripted({"shop": dict.fromkeys(range(3), WHOLE)}), known, run=2, minute=60)
    assert found_hours(known["shop"], "failures_unseen") == {3, 4, 5}
    assert not FindingDay.objects.filter(hours=0).exists()


def test_what_is_known_of_an_hour_stays_where_its_new_figures_are_refused(known: dict[str, int]) -> None:
    read(
        Scripted({"shop": {0: WHOLE, 1: WHOLE, 2: WHOLE}}, findings={"shop": [unseen(0, 1, 2)]}),
        known,
        run=1,
        minute=0,
    )
    worse = {0: Hour(50, 1), 1: Hour(100, 1, is_partial=True), 2: WHOLE}
    jump = Finding("births_counted", {at(0), at(1)}, {"series": 1, "requests": 1, "failures": 0})
    read(Scripted({"shop": worse}, findings={"shop": [jump]}), known, run=2, minute=60)
    assert found_hours(known["shop"], "failures_unseen") == {0, 1}
    assert found_hours(known["shop"], "births_counted") == set()


def test_the_newest_detail_is_told(known: dict[str, int]) -> None:
    for run, matcher in enumerate(("env!=prod", "env!=staging")):
        detail: dict[str, str | int | float] = {
            "count": 2,
            "label": "env",
            "shares": "half",
            "matcher": matcher,
        }
        source = Scripted(
            {"shop": {0: WHOLE}}, findings={"shop": [Finding("environments", {at(0)}, detail, "env")]}
        )
        read(source, known, run=run, minute=run)
    ((finding,),) = queries.findings_in([known["shop"]], moment(0), moment(1)).values()
    assert 'where = ["env!=staging"]' in finding.words
    row = FindingDay.objects.get()
    assert row.updated_at - row.first_seen_at == timedelta(minutes=1)


def test_contested_hours_are_told_with_what_they_lack_until_they_are_settled(known: dict[str, int]) -> None:
    read(Scripted({"shop": {0: Hour(1000, 10), 1: Hour(1000, 10)}}), known, run=1, minute=0)
    less = Scripted({"shop": {0: Hour(700, 10), 1: Hour(1000, 4)}})
    read(less, known, run=2, minute=60)
    assert found_hours(known["shop"], "contested") == {0, 1}
    ((finding,),) = queries.findings_in([known["shop"]], moment(0), moment(2)).values()
    assert finding.words.startswith("2 hours had fewer requests when read again (at least 30 % less)")
    read(less, known, run=3, minute=120)
    assert found_hours(known["shop"], "contested") == set()


def test_hours_that_cannot_be_true_any_more_are_told_as_such(known: dict[str, int]) -> None:
    read(Scripted({"shop": {0: WHOLE}}), known, run=1, minute=0)
    read(Scripted({"shop": {0: Hour(is_implausible=True)}}), known, run=2, minute=60)
    ((finding,),) = queries.findings_in([known["shop"]], moment(0), moment(2)).values()
    assert "fewer requests that can be true when read again (at least 100 % less)" in finding.words


def test_failures_that_shrink_are_told_as_failures(known: dict[str, int]) -> None:
    read(Scripted({"shop": {0: Hour(1000, 10)}}), known, run=1, minute=0)
    read(Scripted({"shop": {0: Hour(1000, 4)}}), known, run=2, minute=60)
    ((finding,),) = queries.findings_in([known["shop"]], moment(0), moment(2)).values()
    assert "1 hour had fewer failures when read again (at least 60 % less)" in finding.words


def test_hours_that_stand_on_incomplete_answers_are_told_with_what_the_source_said(
    known: dict[str, int],
) -> None:
    partial = Scripted({"shop": {0: Hour(90, 1, is_partial=True), 1: WHOLE}}, warnings=["store-2 is away"])
    read(partial, known, run=1, minute=0)
    ((finding,),) = queries.findings_in([known["shop"]], moment(0), moment(2)).values()
    assert finding.words.startswith("1 hour came from incomplete answers; Ballast reads them again until")
    assert finding.words.endswith("store-2 is away.")
    read(Scripted({"shop": {0: WHOLE}}), known, run=2, minute=1)
    assert found_hours(known["shop"], "partial") == set()
    read(partial, known, run=3, minute=2)
    assert found_hours(known["shop"], "partial") == set(), "what is stored is whole"


def test_a_kind_that_this_version_does_not_know_is_told_all_the_same(known: dict[str, int]) -> None:
    now = moment(0)
    FindingDay.objects.create(
        service_id=known["shop"], day=date(2026, 10, 30), kind="moon_phase", subject="", hours=1 << 22,
        first_seen_at=now, updated_at=now,
    )  # fmt: skip
    ((finding,),) = queries.findings_in([known["shop"]], moment(0), moment(6)).values()
    assert finding.words == "moon phase: 1 hours."


KINDS_READ = st.sampled_from(["failures_unseen", "births_counted", "dip"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sets(st.integers(0, 5), min_size=1),
            st.dictionaries(KINDS_READ, st.sets(st.integers(0, 5), min_size=1), max_size=3),
            st.sampled_from(["http", "grpc"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_of_every_hour_the_last_reading_is_known(
    readings: list[tuple[set[int], dict[str, set[int]], str]],
) -> None:
    with transaction.atomic():
        known = {"shop": Service.objects.create(service_id="shop").pk}
        expected: dict[str, set[int]] = {}
        families: dict[int, str] = {}
        for run, (hours, kinds, family) in enumerate(readings):
            source = Scripted({"shop": dict.fromkeys(hours, WHOLE)}, families={"shop": [(family, 0, 6)]})
            source.findings["shop"] = []
            for kind, spoken_of in kinds.items():
                source.findings["shop"].append(
                    Finding(kind, {at(number) for number in spoken_of & hours}, {})
                )
            read(source, known, run=run, minute=run)
            for kind in {*expected, *kinds}:
                expected[kind] = (expected.get(kind, set()) - hours) | (kinds.get(kind, set()) & hours)
            families |= dict.fromkeys(hours, family)
            for kind, spoken_of in expected.items():
                assert found_hours(known["shop"], kind) == spoken_of
            stretches = queries.stretches_in(known["shop"], moment(0), moment(6))
            assert sum(stretch.hours for stretch in stretches) == len(families)
            in_order = [family for _, family in sorted(families.items())]
            assert [stretch.family for stretch in stretches] == [name for name, _ in groupby(in_order)]
        assert not FindingDay.objects.filter(hours=0).exists()
        assert not StretchDay.objects.filter(hours=0).exists()
        transaction.set_rollback(True)


def test_a_stretch_tells_its_family_gaps_and_what_is_in_doubt(known: dict[str, int]) -> None:
    source = Scripted(
        {
            "shop": {
                0: WHOLE,
                1: Hour(100, 1, is_partial=True),
                3: Hour(is_implausible=True),
                4: WHOLE,
                5: WHOLE,
            }
        },
        families={"shop": [("http", 0, 4), ("otel-spanmetrics", 4, 6)]},
    )
    read(source, known, run=1, minute=0)
    assert queries.stretches_in(known["shop"], moment(0), moment(6)) == [
        queries.FoundStretch("http", moment(0), moment(4), hours=2, missing=1, partial=1, implausible=1),
        queries.FoundStretch(
            "otel-spanmetrics", moment(4), moment(6), hours=2, missing=0, partial=0, implausible=0
        ),
    ]


def test_hours_of_which_no_family_was_noted_are_a_stretch_as_well(known: dict[str, int]) -> None:
    read(Scripted({"shop": {0: WHOLE, 1: WHOLE}}), known, run=1, minute=0)
    ((stretch,),) = [queries.stretches_in(known["shop"], moment(0), moment(6))]
    assert (stretch.family, stretch.hours) == ("", 2)


def test_files_are_a_family_and_what_they_replace_is_forgotten(known: dict[str, int], tmp_path: Path) -> None:
    source = Scripted(
        {"shop": dict.fromkeys(range(4), WHOLE)},
        findings={"shop": [unseen(0, 1, 2, 3)]},
        families={"shop": [("http", 0, 4)]},
    )
    read(source, known, run=1, minute=0)
    read(Scripted({"shop": {1: Hour(10, 0), 2: Hour(10, 0)}}), known, run=2, minute=60)
    write_services(tmp_path, "shop")
    rows = [("shop", moment(0).isoformat(), 1800), ("shop", moment(1).isoformat(), 3600)]
    write(tmp_path, "sli.csv", SLI, [(name, when, step, 80, 1, "", "", "") for name, when, step in rows])
    import_folder(tmp_path)
    assert found_hours(known["shop"], "failures_unseen") == {0, 2, 3}
    assert found_hours(known["shop"], "contested") == {2}
    assert [stretch.family for stretch in queries.stretches_in(known["shop"], moment(0), moment(4))] == [
        "http",
        "files",
        "http",
    ]
    assert SliHour.objects.get(bin_start=moment(1)).total == 80
    before = sorted(StretchDay.objects.values_list())
    import_folder(tmp_path)
    assert sorted(StretchDay.objects.values_list()) == before


def test_findings_and_stretches_are_kept_as_long_as_the_hours(known: dict[str, int]) -> None:
    source = Scripted(
        {"shop": {0: WHOLE}}, findings={"shop": [unseen(0)]}, families={"shop": [("http", 0, 1)]}
    )
    read(source, known, run=1, minute=0)
    drop_old()
    assert FindingDay.objects.exists()
    SliHour.objects.filter(service_id=known["shop"]).delete()
    later = moment(0) + timedelta(days=HOURS_KEPT_DAYS + 2)
    ensure_partitions(later.date(), later.date())
    SliHour.objects.create(service_id=known["shop"], bin_start=later, total=1, bad=0, observed_seconds=3600)
    deleted = drop_old()
    assert deleted["telemetry_finding"] == deleted["telemetry_stretch"] == 1
    assert not FindingDay.objects.exists()


@given(st.sets(st.integers(0, 200)), st.integers(0, 200), st.integers(0, 200))
def test_days_with_their_hours_as_bits_hold_just_the_hours(hours: set[int], first: int, last: int) -> None:
    masks = dict(by_day(at(number) for number in hours))
    assert sum(mask.bit_count() for mask in masks.values()) == len(hours)
    inside = sum((mask & within(day, moment(first), moment(last))).bit_count() for day, mask in masks.items())
    assert inside == len([number for number in hours if first <= number < last])
