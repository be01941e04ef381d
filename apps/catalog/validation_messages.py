"""Messages about wrong values in a graph, for the person who sent it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from pydantic_core import ErrorDetails

from apps.core.text import validation_messages
from apps.core.text.validation_messages import quoted


def plain(problem: ErrorDetails) -> str:
    """Return Pydantic's message for one problem in plain words: what was given, and what to write instead."""
    field = next((str(step) for step in reversed(problem["loc"]) if isinstance(step, str)), "")
    return _sla(problem.get("input")) if field == "published_sla" else validation_messages.plain(problem)


def _sla(value: object) -> str:
    try:
        number = Decimal(str(value).strip().removesuffix("%").strip())
    except InvalidOperation:
        return (
            f"{quoted(value)} is not a number; write the ratio that is published, such as 0.9995 for 99.95 %"
        )
    if not number.is_finite():
        return (
            f"{quoted(value)} is not a number; write the ratio that is published, such as 0.9995 for 99.95 %"
        )
    if 1 < number < 100:
        return f"{quoted(value)} is a percentage; write the ratio: {(number / 100).normalize():f}"
    if number in (1, 100):
        return "nobody keeps 100 %; write a ratio below 1, or leave it blank"
    return f"{quoted(value)} is not between 0 and 1; write the ratio that is published, such as 0.9995 for 99.95 %"
