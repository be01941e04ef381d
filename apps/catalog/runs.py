"""Registers the catalog's kinds of runs: applying ingestions, and looking for circular dependencies."""

from __future__ import annotations

from collections.abc import Sequence

from apps.catalog.models import Ingestion
from apps.core.actions import Actor, Event
from apps.core.models import Run
from apps.core.runs import Kind, Parameters, Subject, register, same_again, start

INGEST = "catalog.ingest"
REFRESH_CYCLES = "catalog.refresh_cycles"


class Ingest(Parameters):
    """No parameters: the parts of the ingestion have what is applied."""


class RefreshCycles(Parameters):
    """No parameters: it looks at the whole graph."""


def _subject(run: Run) -> Subject:
    return Subject("ingestion", str(run.pk), str(Ingestion.objects.get(pk=run.pk)))


def _label(run: Run) -> str:
    found = Ingestion.objects.filter(pk=run.pk).first()
    return "" if found is None else f"{found.get_discovery_source_display()}, {found.rows_total:,} rows"


def _own(run: Run) -> Run:
    return Ingestion.objects.get(pk=run.pk)


def _finished(run: Run) -> Sequence[Event]:
    if run.state == Run.State.CANCELLED:
        return ()
    state = "completed" if run.state == Run.State.COMPLETED else "failed"
    fact = {"ingestion_id": str(run.pk), "state": state}
    return (Event("catalog.ingestion_finished", fact, aggregate=f"ingestion:{run.pk}"),)


def _drop_parts(run: Run) -> None:
    Ingestion.objects.get(pk=run.pk).parts.update(payload={})


register(
    Kind(
        name=INGEST,
        title="Apply a dependency graph",
        parameters=Ingest,
        work="apps.catalog.ingesting.ingestion.apply",
        queue="bulk",
        person_waits=True,
        max_attempts=5,
        permission="catalog.ingest",
        only_theirs=True,
        can_stop=True,
        subject=_subject,
        label=_label,
        unit="rows",
        home=("Imports", "ingestions"),
        own=_own,
        details="catalog/run_facts.html",
        failed_words="nothing was changed",
        events=_finished,
        ended=_drop_parts,
        kept=None,
    )
)
register(
    Kind(
        name=REFRESH_CYCLES,
        title="Look for circular dependencies",
        parameters=RefreshCycles,
        work="apps.catalog.tasks.refresh_cycles",
        max_attempts=5,
        permission="core.control_system_runs",
        retried=same_again,
    )
)


def refresh_cycles() -> None:
    """Request a run that updates the cycle alerts, inside the caller's transaction."""
    start(REFRESH_CYCLES, RefreshCycles(), actor=Actor.system("catalog"), key="graph")
