"""``manage.py evaluate``: how often recommendations hold, on simulated fleets or on imported history."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.core.errors import InvalidInput
from apps.telemetry.management.running import described

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
            help="a folder of one's own history (docs/file-format.md) instead of simulation",
        )
        parser.add_argument("--holdout-days", type=int, default=28, metavar="N", help="with --from")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["source"] is not None:
            self.evaluate_files(options["source"], options["holdout_days"], options["out"])
            return
        # Here and not above: listing the commands must not load scipy.
        from apps.engine.simulation.fleet import FAMILIES
        from apps.slos.evaluating import commit, run, run_latency, write

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
        from apps.engine.evaluation.rolling import LEAST_DAYS, MOST_DAYS
        from apps.slos.evaluating import commit, write
        from apps.slos.recorded import evaluate
        from apps.telemetry.recording import read_recording

        if not 1 <= holdout_days <= 90:
            raise CommandError("--holdout-days must lie between 1 and 90.")
        begin = time.perf_counter()
        try:
            recording = read_recording(source, now=timezone.now())
        except InvalidInput as wrong:
            raise CommandError(described(wrong)) from None
        for remark in recording.remarks:
            self.stderr.write(remark)
        outcomes, latencies = evaluate(recording, holdout_days=holdout_days)
        if not outcomes:
            raise CommandError(
                f"No service in {source} has {LEAST_DAYS} days of history before a window of {holdout_days} days."
            )
        about = {
            "services": f"{len(recording.counts):,} of {source.resolve().name}, {len(outcomes):,} held-out windows"
            + (f"; for latency {len(latencies) // 2:,}" if latencies else ""),
            "shown": f"{LEAST_DAYS} to {MOST_DAYS} days of history; held out: the next {holdout_days} days",
            "commit": commit(),
            "time": f"{time.perf_counter() - begin:.0f} s",
        }
        write(out, outcomes, about, latencies)
        self.stdout.write(
            f"{len(outcomes):,} windows of {len(recording.counts):,} services: {out / 'report.md'}"
        )
