"""Numbers, times and chances as the pages write them.

Ratios are 0..1 and become percent. A value that is ``None`` or not finite becomes an em dash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from fractions import Fraction

NARROW_SPACE = "\u202f"
"""Narrow no-break space, used between a number and its unit."""
NO_VALUE = "—"
MINUS = "\u2212"

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_MAX_DECIMALS = 6


def _decimal_text(value: Decimal, decimals: int, *, trim: bool, rounding: str = ROUND_HALF_EVEN) -> str:
    if decimals >= 0 and rounding == ROUND_HALF_EVEN:
        text = f"{value:,.{decimals}f}"  # The same in one step, because pages write thousands of figures.
    else:
        text = f"{value.quantize(Decimal(1).scaleb(-decimals), rounding=rounding):,f}"
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def _decimals_for(ratio: Decimal) -> int:
    """Return enough decimals for two significant digits of the smaller one of the ratio and its distance to 1."""
    if ratio < 0 or ratio > 1:
        return 1
    distance = min(ratio, 1 - ratio) * 100
    if distance == 0:
        return 0
    decimals = 1 - distance.adjusted()
    floor = 2 if ratio >= Decimal("0.9") else 1 if ratio >= Decimal("0.1") else 0
    return max(floor, min(_MAX_DECIMALS, decimals))


def percent_number(ratio: float | None, digits: int | None = None) -> str:
    """Return a ratio as a percentage without the sign: ``0.99955`` → ``99.955``.

    ``digits`` fixes the decimals; without it there are just enough. A ratio below 1 never reads as 100, and one above 0
    never as 0.
    """
    if ratio is None or not math.isfinite(ratio):
        return NO_VALUE
    exact = Decimal(repr(float(ratio)))
    decimals = _decimals_for(exact) if digits is None else digits
    value = exact * 100
    text = _decimal_text(value, decimals, trim=digits is None)
    if exact < 1 and Decimal(text.replace(",", "").replace(MINUS, "-")) >= 100:
        return _decimal_text(value, decimals, trim=False, rounding=ROUND_DOWN)
    if exact > 0 and not text.strip("0.,"):
        return f"<{_decimal_text(Decimal(1).scaleb(-decimals), decimals, trim=False)}"
    return text


def percent(ratio: float | None, digits: int | None = None) -> str:
    """Return a ratio as a percentage: ``0.99955`` → ``99.955 %`` (with a narrow no-break space)."""
    number = percent_number(ratio, digits)
    return number if number == NO_VALUE else f"{number}{NARROW_SPACE}%"


def percent_exact(ratio: float) -> str:
    """Return a ratio as a percentage with every digit that an SLO stores: ``0.999130021`` → ``99.9130021 %``."""
    return f"{_decimal_text(Decimal(repr(float(ratio))) * 100, 7, trim=True)}{NARROW_SPACE}%"


def bound(text: str) -> str:
    """Return a sentence without line breaks between a number and its percent sign."""
    return text.replace(" %", f"{NARROW_SPACE}%")


def points(difference: float | None, digits: int = 3) -> str:
    """Return a difference of two ratios in percentage points, signed: ``-0.00021`` → ``−0.021``.

    A value too small for ``digits`` decimals is shown by its first digit, with at most six decimals.
    """
    if difference is None or not math.isfinite(difference):
        return NO_VALUE
    value = Decimal(repr(float(difference))) * 100
    if value == 0:
        return "0"
    decimals = min(_MAX_DECIMALS, max(digits, -value.adjusted()))
    text = _decimal_text(abs(value), decimals, trim=True)
    if text == "0":
        text = f"<{_decimal_text(Decimal(1).scaleb(-decimals), decimals, trim=False)}"
    return f"{MINUS if value < 0 else '+'}{text}"


def count(value: float | None) -> str:
    """Return a count with thousands separated: ``12345`` → ``12,345``."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    return f"{round(value):,}".replace("-", MINUS)


def plural(value: int, noun: str, plural_noun: str = "") -> str:
    """Return a count with its noun: ``1 service``, ``2 services``."""
    return f"{count(value)} {noun if value == 1 else plural_noun or noun + 's'}"


def number(value: float | None, digits: int = 2) -> str:
    """Return a plain figure with at most ``digits`` decimals: ``0.4``, ``1,204.25``."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    return _decimal_text(Decimal(repr(float(value))), digits, trim=True)


def ms(value: float | None) -> str:
    """Return a latency, given in milliseconds: ``0.8 ms``, ``240 ms``, ``1.25 s``."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    if abs(value) >= 1000:
        return f"{number(value / 1000, 2)}{NARROW_SPACE}s"
    return f"{number(value, _ms_digits(value))}{NARROW_SPACE}ms"


def _ms_digits(value: float) -> int:
    """Return the decimals of a latency in ms; negative from a second on, which is shown to a hundredth."""
    return -1 if abs(value) >= 1000 else 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2


def ms_typed(value: float) -> str:
    """Return a latency in milliseconds for a form, with the digits that :func:`ms` shows: ``201.023`` → ``201``."""
    exact = Decimal(repr(float(value)))
    rounded = exact.quantize(Decimal(1).scaleb(-_ms_digits(value)), rounding=ROUND_HALF_EVEN)
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ms_exact(value: float) -> str:
    """Return a latency with up to six decimals: ``201.023 ms``, ``1.234567 s``."""
    if abs(value) >= 1000:
        return f"{number(value / 1000, 6)}{NARROW_SPACE}s"
    return f"{number(value, 6)}{NARROW_SPACE}ms"


def ms_apart(values: Sequence[float]) -> list[str]:
    """Return neighbouring latencies with as few decimals as tell them apart, two at most.

    ``[262.3, 262.4]`` → ``262.3 ms``, ``262.4 ms``; ``[100.4, 240.2]`` → ``100 ms``, ``240 ms``.
    """
    usual = [ms(value) for value in values]
    if len(set(usual)) == len(set(values)) or any(abs(value) >= 1000 for value in values):
        return usual
    for digits in (1, 2):
        shown = [f"{_decimal_text(Decimal(repr(float(value))), digits, trim=False)}" for value in values]
        if len(set(shown)) == len(set(values)):
            break
    return [f"{text}{NARROW_SPACE}ms" for text in shown]


def duration(seconds: float | None) -> str:
    """Return a span of time in its one or two largest units: ``40 s``, ``22 min``, ``3 h 20 min``, ``5 d``."""
    if seconds is None or not math.isfinite(seconds):
        return NO_VALUE
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}{NARROW_SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{NARROW_SPACE}min"
    if whole < 86400:
        hours, minutes = whole // 3600, whole % 3600 // 60
        return f"{hours}{NARROW_SPACE}h" + (f" {minutes}{NARROW_SPACE}min" if minutes else "")
    days, hours = whole // 86400, whole % 86400 // 3600
    return f"{days}{NARROW_SPACE}d" + (f" {hours}{NARROW_SPACE}h" if hours and days < 7 else "")


def window_noun(window_days: int) -> tuple[str, str]:
    """Return the words for a window of that many days, singular and plural."""
    if 28 <= window_days <= 31:
        return "month", "months"
    if 84 <= window_days <= 92:
        return "quarter", "quarters"
    known = {1: ("day", "days"), 7: ("week", "weeks"), 14: ("fortnight", "fortnights")}
    return known.get(window_days, (f"window of {window_days} days", f"windows of {window_days} days"))


def chance_words(probability: float | None, window_days: int = 28) -> str:
    """Return a probability per window as a count: ``0.05`` → ``1 month in 20``.

    A chance near one in n (within 4 %) is worded so, others as a small fraction.
    """
    if probability is None or not math.isfinite(probability):
        return NO_VALUE
    one, many = window_noun(window_days)
    if probability < 0.0005:
        return f"less than 1 {one} in 1,000" if probability > 0 else f"no {one}"
    if probability > 0.975:
        return f"every {one}" if probability >= 1 else f"almost every {one}"
    nearest = max(2, round(1 / probability))
    if probability <= 0.55 and abs(probability * nearest - 1) <= 0.04:
        return f"1 {one} in {nearest:,}"
    fraction = min(
        (Fraction(min(round(probability * of), of - 1), of) for of in (3, 4, 5, 10, 20)),
        key=lambda candidate: (round(abs(float(candidate) - probability), 2), candidate.denominator),
    )
    noun = one if fraction.numerator == 1 else many
    return f"{fraction.numerator} {noun} in {fraction.denominator}"


def missed_words(missed: int, of: int) -> str:
    """Return how many past windows would have been missed: ``1 of 26 past windows``.

    They begin two weeks apart and overlap, so 26 of them are not 26 months.
    """
    return f"{count(missed) if missed else 'none'} of {count(of)} past windows"


def day(value: date | None, now: date | None = None) -> str:
    """Return a date as ``20 Nov``, with the year where it is not this one."""
    if value is None:
        return NO_VALUE
    this_year = (now or datetime.now(UTC)).year
    return f"{value.day} {MONTHS[value.month - 1]}" + (f" {value.year}" if value.year != this_year else "")


def utc_text(value: datetime | None, now: datetime | None = None) -> str:
    """Return an instant as ``20 Nov, 14:05 UTC``, or ``14:05 UTC`` for today."""
    if value is None:
        return NO_VALUE
    now = (now or datetime.now(UTC)).astimezone(UTC)
    moment = value.astimezone(UTC)
    clock = f"{moment:%H:%M} UTC"
    return clock if moment.date() == now.date() else f"{day(moment, now)}, {clock}"


def utc_stamp(value: datetime | None, now: datetime | None = None) -> str:
    """Return an instant with its date even for today, because the ends of windows are compared with each other."""
    if value is None:
        return NO_VALUE
    moment = value.astimezone(UTC)
    return f"{day(moment, (now or datetime.now(UTC)).astimezone(UTC))}, {moment:%H:%M} UTC"


def age(value: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago something was, if less than an hour: ``4 min ago``; else its time in UTC."""
    if value is None:
        return NO_VALUE
    now = now or datetime.now(UTC)
    seconds = (now - value).total_seconds()
    if 0 <= seconds < 3600:
        return f"{duration(seconds)} ago"
    return utc_text(value, now)


def iso(value: datetime) -> str:
    """Return an instant for a ``datetime`` attribute: ISO 8601 in UTC with ``Z``."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
