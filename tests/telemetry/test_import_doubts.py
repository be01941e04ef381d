"""Files that keep to the format and may mean something else: told, and never about files that mean what they say."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.telemetry.folders import BUCKETS, HOUR, NOW, SLI, START, import_folder, write, write_services
from tests.telemetry.test_import import hours, refused

pytestmark = pytest.mark.django_db

DAY = 24
generated = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def warnings_of(
    folder: Path, totals: list[float], bad: list[float] | None = None, **columns: list[float]
) -> list[str]:
    """The remarks on one service with these hours."""
    write_services(folder, "shop")
    rows = [
        (
            "shop",
            START + at * HOUR,
            HOUR,
            total,
            bad[at] if bad else 0,
            *(columns[name][at] if name in columns else "" for name in ("p50_ms", "p95_ms", "p99_ms")),
        )
        for at, total in enumerate(totals)
    ]
    write(folder, "sli.csv", SLI, rows)
    return import_folder(folder).warnings


def counts(draw: random.Random, size: int = 3 * DAY, most: int = 1_000) -> list[int]:
    """Requests of a service by the hour: quiet at night, and never twice the same."""
    return [int(most * (0.2 + 0.8 * abs(12 - at % DAY) / 12) * draw.uniform(0.8, 1.2)) for at in range(size)]


class TestCounters:
    @generated
    @given(
        st.lists(st.integers(0, 1_000), min_size=DAY, max_size=100),
        st.integers(0, 10**9),
        st.sampled_from([None, 24, 50]),
    )
    def test_readings_of_a_counter_are_told(self, increases: list[int], start: int, anew: int | None) -> None:
        """Also of one that is begun anew once a day or less."""
        increases = [one + 1 for one in increases]
        readings: list[float] = []
        for at, one in enumerate(increases):
            readings.append(
                one if anew and at % anew == anew - 1 else one + (readings[-1] if readings else start)
            )
        with transaction.atomic(), TemporaryDirectory() as folder:
            (remark,) = warnings_of(Path(folder), readings)
            assert remark.startswith("sli.csv: the counts of 'shop' only ever grow, from ")
            assert "export its increase" in remark
            transaction.set_rollback(True)

    @generated
    @given(st.integers(0, 10**6), st.integers(DAY, 150))
    def test_counts_are_not(self, seed: int, size: int) -> None:
        with transaction.atomic(), TemporaryDirectory() as folder:
            assert warnings_of(Path(folder), list(counts(random.Random(seed), size))) == []
            transaction.set_rollback(True)

    def test_nor_are_a_few_hours_that_grow_nor_hours_that_are_all_alike(self, tmp_path: Path) -> None:
        assert warnings_of(tmp_path, list(range(1, DAY))) == []
        assert warnings_of(tmp_path, [100.0] * 100) == []

    def test_histograms_of_a_counter_are_told(self, tmp_path: Path) -> None:
        write_services(tmp_path, "shop")
        rows = [
            ("shop", START + at * HOUR, HOUR, bound, 100 * at + more)
            for at in range(2 * DAY)
            for bound, more in ((100, 0), (500, 5), ("+Inf", 9))
        ]
        write(tmp_path, "latency_buckets.csv", BUCKETS, rows)
        (remark,) = import_folder(tmp_path).warnings
        assert remark.startswith("latency_buckets.csv: the counts of 'shop' only ever grow")


class TestClockChanges:
    @generated
    @given(
        st.sampled_from(
            ["Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "Australia/Lord_Howe"]
        ),
        st.sampled_from([300, 900, 1_800, 3_600]),
        st.booleans(),
    )
    def test_an_hour_of_local_times_that_comes_twice_is_named_with_its_night(
        self, zone: str, step: int, spelt_with_offset: bool
    ) -> None:
        place = ZoneInfo(zone)
        half = timedelta(minutes=30)
        change = next(
            moment
            for moment in (datetime(2025, 11, 15, tzinfo=UTC) + half * at for at in range(17_000))
            if offset(moment + half, place) < offset(moment, place)
        )
        starts = [change + timedelta(seconds=step) * at for at in range(-3 * HOUR // step, 3 * HOUR // step)]
        local = [moment.astimezone(place) for moment in starts]
        if any((moment.minute * 60) % HOUR % step for moment in local):
            return
        texts = [
            moment.isoformat() if spelt_with_offset else moment.replace(tzinfo=None).isoformat()
            for moment in local
        ]
        with transaction.atomic(), TemporaryDirectory() as name:
            folder = Path(name)
            write_services(folder, "shop")
            write(folder, "sli.csv", SLI, [("shop", text, step, 10, 1, "", "", "") for text in texts])
            if spelt_with_offset:
                assert import_folder(folder, now=datetime(2027, 1, 1, tzinfo=UTC)).warnings == []
            else:
                for reason in refused_at(folder, datetime(2027, 1, 1, tzinfo=UTC)).values():
                    assert "covers time that line" in reason
                    assert "times without an offset are taken as UTC" in reason
                    assert (
                        f"{local[0].date()} is the night" in reason
                        or f"{local[-1].date()} is the night" in reason
                    )
            transaction.set_rollback(True)

    def test_the_offsets_to_write_are_named(self, tmp_path: Path) -> None:
        write_services(tmp_path, "f2")
        times = ["00:00", "01:00", "02:00", "02:00", "03:00"]
        write(
            tmp_path,
            "sli.csv",
            SLI,
            [("f2", f"2026-10-25T{at}:00", HOUR, 100, 1, "", "", "") for at in times],
        )
        (reason,) = refused(tmp_path).values()
        assert reason.startswith(
            "covers time that line 4 covers already: times without an offset are taken as UTC, and 2026-10-25 is the "
            "night when the clocks went back in Europe/Berlin and "
        )
        assert (
            "where 02:00 came twice. If these are local times, write their offsets: +02:00 at first, +01:00"
            in reason
        )

    @pytest.mark.parametrize("time", ["2026-10-24T02:00:00", "2026-10-25T05:00:00", "2026-10-25T02:00:00Z"])
    def test_bins_that_overlap_at_any_other_time_are_just_that(self, tmp_path: Path, time: str) -> None:
        write_services(tmp_path, "f2")
        write(tmp_path, "sli.csv", SLI, [("f2", time, HOUR, 100, 1, "", "", "")] * 2)
        assert refused(tmp_path) == {
            ("sli.csv", 3, "timestamp"): "covers time that line 2 covers already; keep one of the two"
        }

    @pytest.mark.parametrize("step", [300, 1_800, 3_600])
    def test_the_hour_that_clocks_skipped_is_told(self, tmp_path: Path, step: int) -> None:
        write_services(tmp_path, "f2")
        begin = datetime(2026, 3, 28, 12)
        times = [begin + timedelta(seconds=step) * at for at in range(DAY * HOUR // step)]
        rows = [
            ("f2", time.isoformat(), step, 100, at % 7, "", "", "")
            for at, time in enumerate(times)
            if (time.day, time.hour) != (29, 2)
        ]
        write(tmp_path, "sli.csv", SLI, rows)
        (remark,) = import_folder(tmp_path).warnings
        assert remark.startswith("sli.csv: 'f2' has no bin at 2026-03-29T02:00 (between lines ")
        assert "the time that the clocks skipped in Europe/Berlin and " in remark
        assert "+01:00 before the change and +02:00 after it" in remark

    @pytest.mark.parametrize(("day", "hour", "zone"), [(29, 5, ""), (27, 3, ""), (29, 2, "Z")])
    def test_any_other_gap_is_just_that(self, tmp_path: Path, day: int, hour: int, zone: str) -> None:
        write_services(tmp_path, "f2")
        times = [datetime(2026, 3, 27) + timedelta(hours=at) for at in range(3 * DAY)]
        rows = [
            ("f2", f"{time.isoformat()}{zone}", HOUR, 100, at % 7, "", "", "")
            for at, time in enumerate(times)
            if (time.day, time.hour) != (day, hour)
        ]
        write(tmp_path, "sli.csv", SLI, rows)
        assert import_folder(tmp_path).warnings == []


def offset(moment: datetime, place: ZoneInfo) -> timedelta:
    found = moment.astimezone(place).utcoffset()
    assert found is not None
    return found


def refused_at(folder: Path, now: datetime) -> dict[tuple[str, int, str], str]:
    from apps.core.errors import InvalidInput

    with pytest.raises(InvalidInput) as caught:
        import_folder(folder, now=now)
    return {(one["file"], one["line"], one["field"]): one["reason"] for one in caught.value.extra["problems"]}


class TestPointsBetweenThousands:
    @generated
    @given(
        st.lists(st.integers(0, 999_999), min_size=2, max_size=30).filter(
            lambda some: any(one > 999 for one in some) and any(one <= 999 for one in some)
        )
    )
    def test_counts_with_points_between_thousands_are_refused(self, totals: list[int]) -> None:
        with transaction.atomic(), TemporaryDirectory() as name:
            folder = Path(name)
            write_services(folder, "shop")
            rows = [
                ("shop", START + at * HOUR, HOUR, f"{total:,}".replace(",", "."), 0, "", "", "")
                for at, total in enumerate(totals)
            ]
            write(folder, "sli.csv", SLI, rows)
            first = next(at for at, total in enumerate(totals) if total > 999)
            (where,) = refused(folder)
            assert where == ("sli.csv", first + 2, "total")
            transaction.set_rollback(True)

    def test_both_readings_and_what_to_write_are_named(self, tmp_path: Path) -> None:
        write_services(tmp_path, "f13")
        totals = ["1.234", "12.345", "950"]
        rows = [("f13", START + at * HOUR, HOUR, total, at, "", "", "") for at, total in enumerate(totals)]
        write(tmp_path, "sli.csv", SLI, rows)
        (reason,) = refused(tmp_path).values()
        assert reason.startswith("'1.234' can be 1,234 requests or 1.234, and 1 more like it: ")
        assert reason.endswith("Write 1234, or 1.2340 if a fraction is meant")

    @pytest.mark.parametrize(
        "totals",
        [
            ["59.9833333", "12.345", "0"],
            ["59.98", "12.345", "0"],
            ["0.250", "12.345", "0"],
            ["12.345", "18211", "0"],
            ["12.3450", "7"],
            ["12.345", "7.5", "950"],
        ],
    )
    def test_fractions_are_taken_where_they_can_be_nothing_else(
        self, tmp_path: Path, totals: list[str]
    ) -> None:
        write_services(tmp_path, "shop")
        rows = [("shop", START + at * HOUR, HOUR, total, 0, "", "", "") for at, total in enumerate(totals)]
        write(tmp_path, "sli.csv", SLI, rows)
        import_folder(tmp_path)
        assert [hour.total for hour in hours("shop")] == [float(total) for total in totals]

    def test_fractions_beside_whole_thousands_are_taken_with_a_remark(self, tmp_path: Path) -> None:
        write_services(tmp_path, "shop")
        rows = [
            ("shop", START + at * HOUR, HOUR, total, 0, "", "", "")
            for at, total in enumerate(("12.345", "18211"))
        ]
        write(tmp_path, "sli.csv", SLI, rows)
        (remark,) = import_folder(tmp_path).warnings
        assert remark.startswith("sli.csv: total in line 2: '12.345' can be 12,345 requests or 12.345: ")
        assert remark.endswith("They were taken as fractions.")

    @generated
    @given(
        st.lists(st.floats(0, 999), min_size=1, max_size=30), st.sampled_from(["{:.3f}", "{:.6f}", "{!r}"])
    )
    def test_what_a_program_writes_for_fractions_is_taken(self, totals: list[float], form: str) -> None:
        """Every number of a column in one form, as programs write them; they are no whole numbers."""
        totals = [total + 0.01234567 for total in totals]
        with transaction.atomic(), TemporaryDirectory() as name:
            folder = Path(name)
            write_services(folder, "shop")
            rows = [
                ("shop", START + at * HOUR, HOUR, form.format(total), form.format(0.0), "", "", "")
                for at, total in enumerate(totals)
            ]
            write(folder, "sli.csv", SLI, rows)
            import_folder(folder)
            transaction.set_rollback(True)

    def test_latencies_with_such_points_are_told(self, tmp_path: Path) -> None:
        write_services(tmp_path, "shop")
        rows = [
            ("shop", START + at * HOUR, HOUR, 10, 0, "", "", p99_ms)
            for at, p99_ms in enumerate(("1.250", "950", "1.100"))
        ]
        write(tmp_path, "sli.csv", SLI, rows)
        (remark,) = import_folder(tmp_path).warnings
        assert remark.startswith(
            "sli.csv: p99_ms in line 2: '1.250' can be 1,250 ms or 1.25, and 1 more like it"
        )


class TestValues:
    def test_a_share_of_failures_is_told(self, tmp_path: Path) -> None:
        totals = counts(random.Random(1))
        (remark,) = warnings_of(tmp_path, list(totals), [round(3 / (one + 1), 5) for one in totals])
        assert remark.startswith("sli.csv: bad of 'shop' is never above 1 and mostly a small fraction")

    def test_what_a_store_extrapolates_is_not(self, tmp_path: Path) -> None:
        totals = counts(random.Random(1))
        bad = [1.0169 if at % 5 == 0 else 0.0 for at in range(len(totals))]
        assert warnings_of(tmp_path, list(totals), bad) == []

    def test_successes_in_place_of_failures_are_told(self, tmp_path: Path) -> None:
        totals = counts(random.Random(1))
        (remark,) = warnings_of(tmp_path, list(totals), [one - 1 for one in totals])
        assert "more than half of all requests of 'shop' failed" in remark
        assert "if it holds those that succeeded, write total minus these" in remark

    def test_latencies_in_seconds_are_told(self, tmp_path: Path) -> None:
        totals = counts(random.Random(1))
        times = [0.05 + at / 1_000 for at in range(len(totals))]
        (remark,) = warnings_of(tmp_path, list(totals), p95_ms=times, p99_ms=[2 * one for one in times])
        assert remark == (
            "sli.csv: most latencies of 'shop' are below 1 ms. If they are seconds, multiply them by 1,000."
        )

    def test_latencies_in_nanoseconds_are_told(self, tmp_path: Path) -> None:
        totals = counts(random.Random(1))
        (remark,) = warnings_of(tmp_path, list(totals), p50_ms=[24_000_000.0] * len(totals))
        assert "above ten minutes" in remark

    def test_bounds_in_seconds_are_told(self, tmp_path: Path) -> None:
        write_services(tmp_path, "shop")
        rows = [("shop", START, HOUR, bound, 9) for bound in ("0.005", "0.1", "10", "+Inf")]
        write(tmp_path, "latency_buckets.csv", BUCKETS, rows)
        (remark,) = import_folder(tmp_path).warnings
        assert "le_ms goes from 0.005 to 10, as bounds in seconds do" in remark

    def test_bins_that_are_wider_than_they_say_are_told(self, tmp_path: Path) -> None:
        write_services(tmp_path, "shop")
        rows = [("shop", START + at * 300, 60, 100 + at % 7, at % 2, "", "", "") for at in range(40)]
        write(tmp_path, "sli.csv", SLI, rows)
        (remark,) = import_folder(tmp_path).warnings
        assert remark == (
            "sli.csv: the bins of 'shop' are 60 s wide and begin 300 s apart, so the time between them counts as not "
            "observed. Is step_seconds 300?"
        )

    def test_a_remark_names_one_service_and_counts_the_others(self, tmp_path: Path) -> None:
        names = [f"s{number}" for number in range(200)]
        write_services(tmp_path, *names)
        rows = [
            (name, START + at * HOUR, HOUR, 100 * at, 0, "", "", "") for name in names for at in range(30)
        ]
        write(tmp_path, "sli.csv", SLI, rows)
        (remark,) = import_folder(tmp_path, now=NOW).warnings
        assert "the counts of 's0' and 199 more only ever grow" in remark


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("1_000", "'1_000' is not a number: write it without underscores"),
        ("0x10", "'0x10' is not a number in decimal notation: write 16"),
        ("\uff11\uff12", "is not a number in the digits 0 to 9: write 12"),
        ("\u0661\u0662", "is not a number in the digits 0 to 9: write 12"),
        ("\u22125", "is not a number in the digits 0 to 9: write -5"),
        ("1.234.567", "write it without thousands separators"),
        ("12\u202f345", "write it without thousands separators"),
        ("50%", "write it without '%'"),
    ],
)
def test_only_decimal_notation_counts(tmp_path: Path, cell: str, words: str) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, [("shop", START, HOUR, cell, 0, "", "", "")])
    assert words in refused(tmp_path)["sli.csv", 2, "total"]


@given(
    st.text(
        st.characters(categories=["Nd", "Nl", "No"], exclude_characters="0123456789"), min_size=1, max_size=4
    )
)
def test_digits_of_other_scripts_are_no_number(text: str) -> None:
    from apps.telemetry.clients.files.instants import parse_instant
    from apps.telemetry.clients.files.numbers import are_plain, read_number

    for cell in (text, f"1{text}", f"{text}.5", f"1_{text}"):
        assert not are_plain([cell])
        with pytest.raises(ValueError, match=r"is n"):
            read_number(cell)
        with pytest.raises(ValueError, match=r"is n"):
            parse_instant(f"17613504{cell}")


@pytest.mark.parametrize(
    ("cell", "value"), [("1e3", 1_000), ("1.5E+2", 150), (" 12 ", 12), (".5", 0.5), ("7.", 7)]
)
def test_decimal_notation_is_read(tmp_path: Path, cell: str, value: float) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, [("shop", START, HOUR, cell, 0, "", "", "")])
    import_folder(tmp_path)
    assert hours("shop")[0].total == value


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("calls_per_request", "1_0", "write it without underscores"),
        ("timeout_ms", "1.000", "'1.000' is not a whole number: write it without a point"),
        ("timeout_ms", "1_000", "write it without underscores"),
        ("redundancy_needed", "\uff12", "write 2"),
    ],
)
def test_numbers_of_the_graph_are_decimal_notation_too(
    tmp_path: Path, column: str, cell: str, words: str
) -> None:
    write(
        tmp_path, "dependencies.csv", f"source,target,mode,criticality,{column}", [("a", "b", "", "", cell)]
    )
    assert words in refused(tmp_path)["dependencies.csv", 2, column]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("2026-10-26-05:00", "write 2026-10-26T00:00:00-05:00"),
        ("26.10.2026 02:00", "write 2026-10-26 02:00"),
        ("26/10/2026", "write 2026-10-26"),
        ("10/11/2026", "write the year first, as in 2026-mm-dd"),
        ("2026/10/26 02:00", "write 2026-10-26 02:00"),
        ("2026-10-26 02:00 PM", "write hours from 00 to 23"),
        ("2026-10-26T24:00:00", "write 00:00 of the next day"),
        ("2026-10-26T23:59:60Z", "a leap second has no bin of its own"),
        ("2026-10-26 00:00 UTC", "write the offset in place of UTC"),
        ("46320.5", "the days that a spreadsheet counts"),
        ("1_761_350_400", "in the digits 0 to 9, without underscores"),
    ],
)
def test_a_time_in_another_notation_is_refused_with_the_one_to_write(
    tmp_path: Path, cell: str, words: str
) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, [("shop", cell, HOUR, 10, 0, "", "", "")])
    assert words in refused(tmp_path)["sli.csv", 2, "timestamp"]
