"""Dates and times come in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from apps.core.instants import AwareInstant, Instant


@pytest.mark.parametrize("given", ["364150605490", "0", "-3.5", "1e9", " 12 ", 1_700_000_000, 0.5])
@pytest.mark.parametrize("kind", [Instant, AwareInstant])
def test_a_bare_number_is_no_date(kind: Any, given: object) -> None:
    with pytest.raises(ValidationError, match="A bare number is no date"):
        TypeAdapter(kind).validate_python(given)


def test_a_date_in_words_is_taken() -> None:
    found = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert TypeAdapter(AwareInstant).validate_python("2026-11-21T12:00:00Z") == found
    assert TypeAdapter(Instant).validate_python("2026-11-21T12:00:00") == found.replace(tzinfo=None)
