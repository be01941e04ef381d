"""Reports an ingestion for the API and pages: its state, and the errors of its rows."""

from __future__ import annotations

from apps.core.errors import Fault
from apps.core.models import Run

_STATES = {
    Run.State.PREPARING: "receiving",
    Run.State.PAUSED: "pending",
    Run.State.CANCELLED: "abandoned",
    Run.State.GIVEN_UP: "failed",
}


def ingestion_state(run: Run) -> str:
    """Return the state of an ingestion in the API's words."""
    return str(_STATES.get(Run.State(run.state), run.state))


def row_errors(run: Run) -> list[Fault]:
    """Return the errors of an ingestion, row by row; an error that concerns no row has no place."""
    nowhere: Fault = {"part": 0, "list": "", "row": 0, "field": "", "path": ""}
    return [
        {**nowhere, "message": f"{error['reason']} Nothing was changed."} if "reason" in error else error
        for error in run.errors
    ]
