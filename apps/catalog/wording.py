"""The catalog's words: what is wrong with a value of a graph, and how an ingestion fares, as who sent it reads it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic_core import ErrorDetails

from apps.core import wording
from apps.core.models import Run
from apps.core.wording import said


def plain(problem: ErrorDetails) -> str:
    """Pydantic's account of one problem in plain words: what was given, and what to write instead."""
    field = next((str(step) for step in reversed(problem["loc"]) if isinstance(step, str)), "")
    return _sla(problem.get("input")) if field == "published_sla" else wording.plain(problem)


def _sla(value: object) -> str:
    try:
        number = Decimal(str(value).strip().removesuffix("%").strip())
    except InvalidOperation:
        return f"{said(value)} is not a number; write the ratio that is promised, such as 0.9995 for 99.95 %"
    if not number.is_finite():
        return f"{said(value)} is not a number; write the ratio that is promised, such as 0.9995 for 99.95 %"
    if 1 < number < 100:
        return f"{said(value)} is a percentage; write the ratio: {(number / 100).normalize():f}"
    if number in (1, 100):
        return "nobody keeps 100 %; write a ratio below 1, or leave it blank"
    return (
        f"{said(value)} is not between 0 and 1; write the ratio that is promised, such as 0.9995 for 99.95 %"
    )


_STATES = {
    Run.State.PREPARING: "receiving",
    Run.State.PAUSED: "pending",
    Run.State.CANCELLED: "abandoned",
    Run.State.GIVEN_UP: "failed",
}


def ingestion_state(run: Run) -> str:
    """The state of an ingestion as the API has always called it."""
    return str(_STATES.get(Run.State(run.state), run.state))


def row_errors(run: Run) -> list[dict[str, Any]]:
    """What was wrong with an ingestion, row by row; an error that is not of a row has no place."""
    nowhere = {"part": 0, "list": "", "row": 0, "field": "", "path": ""}
    return [
        nowhere | {"message": f"{error['reason']} Nothing was changed."} if "reason" in error else error
        for error in run.errors
    ]
