"""How the API and the pages report an ingestion: its state, and what is wrong with its rows."""

from __future__ import annotations

from typing import Any

from apps.core.models import Run

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
