"""``manage.py evaluate``: how often recommendations hold, on simulated fleets or on imported history."""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.core.errors import InvalidInput
from apps.telemetry.error_lines import described

LATENCY, EDGES, COMPOSITE, YOUNG = "latency", "edges", "composite", "young"
"""Among the families: simulated histograms of all kinds, for thresholds of p95 and p99; dependencies of known call
probability and hardness; random graphs, for what they come to; services in their first week, as their kind is and far
off it.
"""
BESIDE = (EDGES, COMPOSITE, LATENCY, YOUNG)
TIMES = 2
"""Services with known dependencies, and graphs, for each service of a family."""
FEWER_BINS = 5
"""Every so manyth service with histograms is looked at by its bins' percentiles alone, too."""
SIMULATED = {"families": "all", "services_per_family": 500, "seed": 1}
"""What only a simulation has, and what it is unless given."""


class Command(BaseCommand):
    help = "Simulate services, recommend, and score what was said by what came: a report in --out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--families",
            metavar="NAMES",
            help=f"all (default), or names with commas between; {', '.join(BESIDE)} are among them",
        )
        parser.add_argument("--services-per-family", type=int, metavar="N", help="default 500")
        parser.add_argument("--seed", type=int, metavar="N", help="default 1")
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
        given = [name for name in SIMULATED if options[name] is not None]
        if options["source"] is not None:
            if given:
                named = " and ".join(f"--{name.replace('_', '-')}" for name in given)
                raise CommandError(f"{named} cannot be combined with --from: nothing is simulated there.")
            self.evaluate_files(options["source"], options["holdout_days"], options["out"])
            return
        self.evaluate_simulated({**options, **SIMULATED, **{name: options[name] for name in given}})

    def evaluate_simulated(self, options: Mapping[str, Any]) -> None:
        """Simulate, recommend and score: services of every family that is named, and what is beside them."""
        # Here and not above: listing the commands must not load scipy.
        from apps.engine.evaluation.dependencies_report import composite_line, edges_line
        from apps.engine.simulation.fleet import FAMILIES
        from apps.slos.evaluation.evaluating import (
            commit,
            run,
            run_bins,
            run_composite,
            run_edges,
            run_latency,
            run_young,
            write,
        )

        known = [*FAMILIES, *BESIDE]
        names = known if options["families"] == "all" else options["families"].split(",")
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise CommandError(f"There is no family {', '.join(unknown)}; there are {', '.join(known)}.")
        beside, names = set(names) & set(BESIDE), [name for name in names if name not in BESIDE]
        if not names:
            raise CommandError(
                f"{' and '.join(each for each in BESIDE if each in beside)} can only be evaluated "
                f"beside at least one of {', '.join(FAMILIES)}."
            )
        seed, size, processes = options["seed"], options["services_per_family"], options["processes"]
        if size < 1 or processes < 1:
            raise CommandError("--services-per-family and --processes must be at least 1.")
        begin = time.perf_counter()
        outcomes = run(seed, names, size, processes)
        edges = run_edges(seed, TIMES * size, processes) if EDGES in beside else []
        composites = run_composite(seed, TIMES * size, processes) if COMPOSITE in beside else []
        latencies = run_latency(seed, size, processes) if LATENCY in beside else []
        bins = run_bins(seed, math.ceil(size / FEWER_BINS), processes) if LATENCY in beside else []
        young = run_young(seed, size, processes) if YOUNG in beside else []
        taken = time.perf_counter() - begin
        about = {
            "services": f"{len(outcomes):,} simulated, of {len(names)} kinds"
            + (f"; in their first week {len(young):,}" if young else "")
            + (f"; for edges {TIMES * size:,}" if edges else "")
            + (f"; for composites {TIMES * size:,} graphs" if composites else "")
            + (f"; for latency {len(latencies) // 2:,}" if latencies else "")
            + (f", and {len(bins) // 2:,} of them by bins' percentiles alone" if bins else ""),
            "shown": "90 days of hourly counts (new services 7 to 29 days"
            + (", young ones 1 to 6 days" if young else "")
            + "); held out: the next 28 days",
            "seed": str(seed),
            "commit": commit(),
            "time": f"{taken:.0f} s on {processes} processes, simulation, baselines and oracle included",
        }
        summary = write(options["out"], outcomes, about, latencies, edges, composites, bins, young)
        self.stdout.write(f"{len(outcomes):,} services in {taken:.0f} s: {options['out'] / 'report.md'}")
        if edges:
            self.stdout.write(edges_line(summary["edges"]))
        if composites:
            self.stdout.write(composite_line(summary["composite"]))

    def evaluate_files(self, source: Path, holdout_days: int, out: Path) -> None:
        """Score windows of the past of the services in ``sli.csv``, each held out in its turn."""
        from apps.engine.evaluation.rolling import LEAST_DAYS, MOST_DAYS
        from apps.slos.evaluation.evaluating import commit, write
        from apps.slos.evaluation.recorded import evaluate
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
