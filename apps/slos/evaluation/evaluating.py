"""Evaluations on several processes, and the report that is made of them. For commands: it needs numpy."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

from django.conf import settings

from apps.engine.evaluation.composite import CompositeOutcome, evaluate_graph_numbers, summarise_composite
from apps.engine.evaluation.dependencies_report import composite_markdown, edges_markdown
from apps.engine.evaluation.edges import EdgeOutcome, evaluate_edge_numbers, summarise_edges
from apps.engine.evaluation.evaluate import Outcome, evaluate_numbers
from apps.engine.evaluation.latency import LatencyOutcome, evaluate_latency_numbers
from apps.engine.evaluation.latency_bins import evaluate_bins_numbers
from apps.engine.evaluation.latency_report import bins_markdown, latency_markdown
from apps.engine.evaluation.latency_summary import summarise_latency
from apps.engine.evaluation.report import diagram, markdown
from apps.engine.evaluation.summary import summarise
from apps.engine.evaluation.tables import Report
from apps.engine.evaluation.young import evaluate_young_numbers, summarise_young, young_markdown
from apps.engine.freed_memory import keep_freed_memory
from apps.engine.simulation import latency_fleet
from apps.engine.simulation.fleet import FAMILIES

CHUNK = 10


def run(seed: int, families: Sequence[str], per_family: int, processes: int = 2) -> list[Outcome]:
    """Evaluate simulated services on several processes; what is found does not depend on their number."""
    kinds = [list(FAMILIES).index(family) for family in families]
    jobs = [(seed, list(families), kinds, numbers) for numbers in _chunks(per_family)]
    return _spread(evaluate_numbers, jobs, processes)


def run_young(seed: int, per_family: int, processes: int = 2) -> list[Outcome]:
    """The same for services in their first week."""
    return _spread(evaluate_young_numbers, [(seed, numbers) for numbers in _chunks(per_family)], processes)


def run_latency(seed: int, per_family: int, processes: int = 2) -> list[LatencyOutcome]:
    """The same for simulated histograms: two outcomes (p95, p99) a service."""
    families = list(latency_fleet.FAMILIES)
    jobs = [(seed, families, numbers) for numbers in _chunks(per_family)]
    return _spread(evaluate_latency_numbers, jobs, processes)


def run_bins(seed: int, per_family: int, processes: int = 2) -> list[LatencyOutcome]:
    """The same services again, of which only the percentiles of each bin are shown."""
    families = list(latency_fleet.FAMILIES)
    jobs = [(seed, families, numbers) for numbers in _chunks(per_family)]
    return _spread(evaluate_bins_numbers, jobs, processes)


def run_edges(seed: int, services: int, processes: int = 2) -> list[EdgeOutcome]:
    """The same for call probability and hardness: two outcomes an edge, for each way of seeing its service."""
    return _spread(evaluate_edge_numbers, [(seed, numbers) for numbers in _chunks(services)], processes)


def run_composite(seed: int, graphs: int, processes: int = 2) -> list[CompositeOutcome]:
    """The same for random graphs: an outcome for each node and method."""
    return _spread(evaluate_graph_numbers, [(seed, numbers) for numbers in _chunks(graphs)], processes)


def _chunks(size: int) -> list[range]:
    return [range(at, min(size, at + CHUNK)) for at in range(0, size, CHUNK)]


def _spread[JobT, FoundT](
    evaluate: Callable[[JobT], list[FoundT]], jobs: Sequence[JobT], processes: int
) -> list[FoundT]:
    if min(processes, len(jobs)) == 1:
        return [each for job in jobs for each in evaluate(job)]
    with get_context("spawn").Pool(processes, keep_freed_memory) as pool:
        return [each for part in pool.map(evaluate, jobs, chunksize=1) for each in part]


def write(
    directory: Path,
    outcomes: Sequence[Outcome],
    about: Mapping[str, str],
    latencies: Sequence[LatencyOutcome] = (),
    edges: Sequence[EdgeOutcome] = (),
    composites: Sequence[CompositeOutcome] = (),
    bins: Sequence[LatencyOutcome] = (),
    young: Sequence[Outcome] = (),
) -> Report:
    """Write ``report.md``, ``report.json`` and ``reliability.svg``; returns the tables."""
    summary: Report = {
        **summarise(outcomes),
        "young": summarise_young(young),
        "edges": summarise_edges(edges),
        "composite": summarise_composite(composites),
        "latency": summarise_latency(latencies),
        "latency_bins": summarise_latency(bins),
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.md").write_text(
        markdown(summary, about)
        + young_markdown(summary["young"])
        + edges_markdown(summary["edges"])
        + composite_markdown(summary["composite"])
        + latency_markdown(summary["latency"])
        + bins_markdown(summary["latency_bins"])
    )
    (directory / "report.json").write_text(
        json.dumps({"about": about, **summary}, indent=1, allow_nan=False) + "\n"
    )
    (directory / "reliability.svg").write_text(diagram(summary["reliability"]))
    return summary


def commit() -> str:
    """Return the commit that is checked out, ``unknown`` outside a repository."""
    found = subprocess.run(
        ["git", "-C", str(settings.BASE_DIR), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"
