"""``manage.py evaluate``: how often recommendations hold, on simulated fleets or on imported history."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

CHUNK = 10
LATENCY = "latency"
"""Among the families: simulated histograms of all kinds, for thresholds of p95 and p99."""


class Command(BaseCommand):
    help = "Simulate services, recommend, and score what was said by what came: a report in --out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--families",
            default="all",
            metavar="NAMES",
            help="all, or names with commas between; latency is one of them",
        )
        parser.add_argument("--services-per-family", type=int, default=500, metavar="N")
        parser.add_argument("--seed", type=int, default=1, metavar="N")
        parser.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="where the report is written"
        )
        parser.add_argument("--processes", type=int, default=2, metavar="N")

        parser.add_argument(
            "--from",
            type=Path,
            dest="source",
            metavar="DIR",
            help="a folder with sli.csv instead of simulation",
        )
        parser.add_argument("--holdout-days", type=int, default=28, metavar="N", help="with --from")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["source"] is not None:
            self.evaluate_files(options["source"], options["holdout_days"], options["out"])
            return
        # Here and not above: listing the commands must not load scipy.
        from apps.engine.simulation.fleet import FAMILIES

        known = [*FAMILIES, LATENCY]
        names = known if options["families"] == "all" else options["families"].split(",")
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise CommandError(f"There is no family {', '.join(unknown)}; there are {', '.join(known)}.")
        with_latency, names = LATENCY in names, [name for name in names if name != LATENCY]
        if not names:
            raise CommandError(f"{LATENCY} is evaluated beside at least one of {', '.join(FAMILIES)}.")
        if options["services_per_family"] < 1 or options["processes"] < 1:
            raise CommandError("--services-per-family and --processes must be at least 1.")
        begin = time.perf_counter()
        outcomes = run(options["seed"], names, options["services_per_family"], options["processes"])
        latencies = (
            run_latency(options["seed"], options["services_per_family"], options["processes"])
            if with_latency
            else []
        )
        taken = time.perf_counter() - begin
        about = {
            "services": f"{len(outcomes):,} simulated, of {len(names)} kinds"
            + (f"; for latency {len(latencies) // 2:,}" if latencies else ""),
            "shown": "90 days of hourly counts (new services 7 to 29 days); held out: the next 28 days",
            "seed": str(options["seed"]),
            "commit": commit(),
            "time": f"{taken:.0f} s on {options['processes']} processes, simulation, baselines and oracle included",
        }
        write(options["out"], outcomes, about, latencies)
        self.stdout.write(f"{len(outcomes):,} services in {taken:.0f} s: {options['out'] / 'report.md'}")

    def evaluate_files(self, source: Path, holdout_days: int, out: Path) -> None:
        """Score windows of the past of the services in ``sli.csv``, each held out in its turn."""
        from apps.engine.evaluation.rolling import rolling

        if not 1 <= holdout_days <= 90:
            raise CommandError("--holdout-days must lie between 1 and 90.")
        begin = time.perf_counter()
        series = read_counts(source / "sli.csv")
        outcomes = [
            each
            for name, counts in series.items()
            for each in rolling(name, "imported", counts, holdout_days=holdout_days)
        ]
        if not outcomes:
            raise CommandError(
                f"No service in {source} has 60 days of history before a window of {holdout_days} days."
            )
        about = {
            "services": f"{len(series):,} of {source.name}, {len(outcomes):,} held-out windows",
            "shown": f"60 to 90 days of history; held out: the next {holdout_days} days",
            "commit": commit(),
            "time": f"{time.perf_counter() - begin:.0f} s",
        }
        write(out, outcomes, about)
        self.stdout.write(f"{len(outcomes):,} windows of {len(series):,} services: {out / 'report.md'}")


def read_counts(path: Path) -> dict[str, Any]:
    """Read each service's counts from an ``sli.csv`` (docs/file-format.md); bins without a row are gaps."""
    import numpy as np

    from apps.engine.types import CountSeries

    found: dict[str, list[tuple[int, int, float, float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                at = datetime.fromisoformat(row["timestamp"])
                at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
                counts = (
                    int(at.timestamp()),
                    int(row["step_seconds"]),
                    float(row["total"]),
                    float(row["bad"]),
                )
                found.setdefault(row["service_id"], []).append(counts)
    except FileNotFoundError:
        raise CommandError(f"There is no {path}.") from None
    except (KeyError, ValueError) as wrong:
        raise CommandError(f"{path}: {wrong}. import_observations names every bad row.") from None
    series: dict[str, Any] = {}
    for name, rows in sorted(found.items()):
        step = min(row[1] for row in rows)
        start = min(row[0] for row in rows)
        size = max((row[0] - start) // step for row in rows) + 1
        total, bad = np.full(size, np.nan), np.full(size, np.nan)
        for at_second, width, requests, failed in rows:
            if width == step:
                total[(at_second - start) // step], bad[(at_second - start) // step] = requests, failed
        series[name] = CountSeries(start, step, total, bad)
    return series


def run(seed: int, families: Sequence[str], per_family: int, processes: int = 2) -> list[Any]:
    """Evaluate simulated services on several processes; the order does not depend on their number."""
    from apps.engine.evaluation.evaluate import evaluate_numbers
    from apps.engine.simulation.fleet import FAMILIES

    kinds = [list(FAMILIES).index(family) for family in families]
    jobs = [
        (seed, list(families), kinds, range(at, min(per_family, at + CHUNK)))
        for at in range(0, per_family, CHUNK)
    ]
    if processes == 1:
        return [each for job in jobs for each in evaluate_numbers(job)]
    with get_context("spawn").Pool(processes) as pool:
        return [each for part in pool.map(evaluate_numbers, jobs, chunksize=1) for each in part]


def run_latency(seed: int, per_family: int, processes: int = 2) -> list[Any]:
    """The same for simulated histograms: two outcomes (p95, p99) a service."""
    from apps.engine.evaluation.latency import evaluate_latency_numbers
    from apps.engine.simulation.latency_fleet import FAMILIES

    families = list(FAMILIES)
    jobs = [(seed, families, range(at, min(per_family, at + CHUNK))) for at in range(0, per_family, CHUNK)]
    if processes == 1:
        return [each for job in jobs for each in evaluate_latency_numbers(job)]
    with get_context("spawn").Pool(processes) as pool:
        return [each for part in pool.map(evaluate_latency_numbers, jobs, chunksize=1) for each in part]


def write(
    directory: Path, outcomes: Sequence[Any], about: dict[str, str], latencies: Sequence[Any] = ()
) -> dict[str, Any]:
    """Write ``report.md``, ``report.json`` and ``reliability.svg``; returns the tables."""
    from apps.engine.evaluation.latency import summarise_latency
    from apps.engine.evaluation.latency_report import latency_markdown
    from apps.engine.evaluation.report import diagram, markdown
    from apps.engine.evaluation.summary import summarise

    summary: dict[str, Any] = summarise(outcomes)
    summary["latency"] = summarise_latency(latencies)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.md").write_text(markdown(summary, about) + latency_markdown(summary["latency"]))
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
