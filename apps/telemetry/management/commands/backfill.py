"""``manage.py backfill``: read past hours from Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from apps.telemetry import services
from apps.telemetry.management.running import aware, discover, discovery_words, request_and_run

if TYPE_CHECKING:
    from apps.telemetry.storing.collecting import Collected


class Command(BaseCommand):
    """Read the hours before ``--end`` from the telemetry source, and store their aggregates."""

    help = (
        "Read past hours from Prometheus and store their hourly and daily aggregates. Safe to repeat. "
        "If nobody has declared a service yet, it discovers services and the calls between them first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="how many days (default 30)")
        parser.add_argument(
            "--end", metavar="ISO", help="end of the last hour (default: the newest complete hour)"
        )
        parser.add_argument(
            "--service", action="append", default=[], metavar="ID", help="only this service; may be repeated"
        )
        parser.add_argument(
            "--trust",
            action="store_true",
            help="replace stored hours with what it reads, even where that is less",
        )
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--discover", action="store_true", help="always look for new services first")
        choice.add_argument("--no-discover", action="store_true", help="read only what the catalog knows")

    def handle(self, *args: Any, **options: Any) -> None:
        end = aware(options["end"])
        if options["discover"] or (not options["no_discover"] and services.lives_off_discovery()):
            self._discover(options["days"], end)
        run = request_and_run(
            "telemetry.backfill",
            {"days": options["days"], "end": end, "services": options["service"], "trust": options["trust"]},
            label="backfill",
            unit=" services",
        )
        summary: Collected = run.summary
        self.stdout.write(
            f"{summary['services_with_data']} of {summary['services']} services have data from "
            f"{run.window_start:%Y-%m-%dT%H:%MZ} to {run.window_end:%Y-%m-%dT%H:%MZ}: "
            f"{summary['hours']:,} hours, {summary['latency_hours']:,} latency histograms "
            f"and {summary['edge_hours']:,} edge hours stored."
        )
        if summary["contested_hours"]:
            self.stderr.write(
                f"{summary['contested_hours']:,} hours now have less data than is stored. The stored hours stay until "
                "another reading agrees; --trust replaces them at once."
            )
        for remark in summary["remarks"]:
            self.stderr.write(remark)
        for label, count in summary["personal_labels_dropped"].items():
            self.stderr.write(f"Label {label}: {count} values look like personal data and were dropped.")
        for warning in run.warnings:
            self.stderr.write(f"The source says: {warning}")

    def _discover(self, days: int, end: str | None) -> None:
        self.stderr.write("Looking for services in the telemetry source first (--no-discover skips this).")
        run = discover(days, end)
        self.stderr.write(discovery_words(run))
        for warning in run.warnings:
            self.stderr.write(warning)
