"""Dates and times come in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from apps.core.instants import AwareInstant, Instant, whole_hour


@pytest.mark.parametrize("given", ["364150605490", "0", "-3.5", "1e9", " 12 ", 1_700_000_000, 0.5])
@pytest.mark.parametrize("kind", [Instant, AwareInstant])
def test_a_bare_number_is_no_date(kind: Any, given: object) -> None:
    with pytest.raises(ValidationError, match="A bare number is no date"):
        TypeAdapter(kind).validate_python(given)


def test_a_date_in_words_is_taken() -> None:
    found = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert TypeAdapter(AwareInstant).validate_python("2026-11-21T12:00:00Z") == found
    assert TypeAdapter(Instant).validate_python("2026-11-21T12:00:00") == found.replace(tzinfo=None)


@pytest.mark.parametrize("minutes_east", [-570, -210, 0, 60, 330, 345, 765])
@pytest.mark.parametrize("seconds", [0, 1, 3599, 0.999999])
def test_a_whole_hour_is_one_of_utc_whatever_the_zone(minutes_east: int, seconds: float) -> None:
    begun = datetime(2026, 3, 29, 1, tzinfo=UTC)
    zone = timezone(timedelta(minutes=minutes_east))
    found = whole_hour((begun + timedelta(seconds=seconds)).astimezone(zone))
    assert (found, found.tzinfo) == (begun, UTC)
