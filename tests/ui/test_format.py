from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.rounding import percent as written_by_the_engine
from apps.ui import format as fmt

NOW = datetime(2025, 11, 20, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.99955, "99.955"),
        (0.9992, "99.92"),
        (0.999, "99.9"),
        (0.99591, "99.59"),
        (0.9731, "97.31"),
        (0.68, "68"),
        (0.684, "68.4"),
        (0.05, "5"),
        (0.0012, "0.12"),
        (1.0, "100"),
        (0.0, "0"),
        (-0.18, "−18"),
        (1.5, "150"),
        (None, "—"),
        (float("nan"), "—"),
    ],
)
def test_a_ratio_is_written_with_just_enough_digits(ratio: float | None, text: str) -> None:
    assert fmt.percent_number(ratio) == text


def test_the_percent_sign_never_leaves_its_number() -> None:
    assert fmt.percent(0.99955) == "99.955\u202f%"


@given(st.floats(min_value=0.0, max_value=1.0, exclude_max=True), st.sampled_from([None, 0, 1, 2, 3]))
def test_nothing_below_one_reads_as_a_hundred(ratio: float, digits: int | None) -> None:
    assert not fmt.percent_number(ratio, digits).startswith("100")


@given(st.floats(min_value=1e-12, max_value=1.0), st.sampled_from([None, 0, 1, 2]))
def test_nothing_above_zero_reads_as_nothing(ratio: float, digits: int | None) -> None:
    assert fmt.percent_number(ratio, digits) not in {"0", "0.0", "0.00"}


@pytest.mark.parametrize(
    ("probability", "window_days", "words"),
    [
        (0.01, 28, "1 month in 100"),
        (0.05, 30, "1 month in 20"),
        (0.2, 28, "1 month in 5"),
        (0.05, 7, "1 week in 20"),
        (0.05, 90, "1 quarter in 20"),
        (0.05, 45, "1 window of 45 days in 20"),
        (0.5, 28, "1 month in 2"),
        (0.6, 28, "3 months in 5"),
        (0.15, 28, "3 months in 20"),
        (0.0, 28, "no month"),
        (0.0001, 28, "less than 1 month in 1,000"),
        (0.99, 28, "almost every month"),
        (1.0, 28, "every month"),
        (None, 28, "—"),
    ],
)
def test_a_chance_is_a_count(probability: float | None, window_days: int, words: str) -> None:
    assert fmt.chance_words(probability, window_days) == words


@given(st.floats(min_value=0.0, max_value=1.0))
def test_a_chance_always_has_words(probability: float) -> None:
    words = fmt.chance_words(probability)
    assert "month" in words
    assert not words.startswith("0")


def test_points_carry_their_sign() -> None:
    assert fmt.points(-0.00021) == "−0.021"
    assert fmt.points(0.00006) == "+0.006"
    assert fmt.points(0.0) == "0"
    assert fmt.points(-0.0000004) == "−0.00004"
    assert fmt.points(-0.000000000001) == "−<0.000001"


def test_counts_latencies_and_spans() -> None:
    assert fmt.count(12345) == "12,345"
    assert fmt.plural(1, "service") == "1 service"
    assert fmt.plural(2, "entry", "entries") == "2 entries"
    assert fmt.ms(0.8) == "0.8\u202fms"
    assert fmt.ms(240.4) == "240\u202fms"
    assert fmt.ms(1250) == "1.25\u202fs"
    assert fmt.duration(1320) == "22\u202fmin"
    assert fmt.duration(12_000) == "3\u202fh 20\u202fmin"


def test_age_is_relative_only_under_an_hour() -> None:
    assert fmt.age(NOW - timedelta(minutes=4), NOW) == "4\u202fmin ago"
    assert fmt.age(NOW - timedelta(hours=2), NOW) == "12:05 UTC"
    assert fmt.age(NOW - timedelta(days=3), NOW) == "17 Nov, 14:05 UTC"
    assert fmt.age(NOW - timedelta(days=400), NOW) == "16 Oct 2024, 14:05 UTC"
    assert fmt.age(NOW + timedelta(minutes=4), NOW) == "14:09 UTC"


def test_latencies_side_by_side_have_the_decimals_that_tell_them_apart() -> None:
    def plain(*values: float) -> list[str]:
        return [text.replace("\u202f", " ") for text in fmt.ms_apart(values)]

    assert plain(262.435, 262.309, 262.166) == ["262.4 ms", "262.3 ms", "262.2 ms"]
    assert plain(100.4, 240.2) == ["100 ms", "240 ms"]
    assert plain(100.01, 100.02) == ["100.01 ms", "100.02 ms"]
    assert plain(100.0, 100.0) == ["100 ms", "100 ms"]
    assert plain(1250.0, 1251.0) == ["1.25 s", "1.25 s"]


def test_the_end_of_a_window_keeps_its_date_today() -> None:
    now = datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert fmt.utc_text(datetime(2026, 11, 21, 3, tzinfo=UTC), now) == "03:00 UTC"
    assert fmt.utc_stamp(datetime(2026, 11, 21, 3, tzinfo=UTC), now) == "21 Nov, 03:00 UTC"


@given(st.integers(min_value=100_000, max_value=1_000_000))
def test_a_sentence_of_the_engine_says_an_availability_as_the_page_around_it_does(millionths: int) -> None:
    ratio = millionths / 1_000_000
    assert fmt.bound(written_by_the_engine(ratio)) == fmt.percent(ratio)


@pytest.mark.parametrize(
    ("value", "text"), [(201.023, "201"), (5.26, "5.3"), (0.456, "0.46"), (1234.5, "1230")]
)
def test_a_latency_is_typed_as_it_is_shown(value: float, text: str) -> None:
    assert fmt.ms_typed(value) == text
    assert fmt.ms(float(text)) == fmt.ms(value)
    assert fmt.ms_exact(value).startswith(("201.023", "5.26", "0.456", "1.2345"))


def test_an_slo_shows_every_digit_of_a_percentage() -> None:
    assert fmt.percent_exact(0.999130021) == "99.9130021\u202f%"
    assert fmt.percent_exact(0.999) == "99.9\u202f%"
