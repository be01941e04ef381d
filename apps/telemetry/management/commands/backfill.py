"""``manage.py backfill``: read past hours from Prometheus."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.telemetry.management.running import request_and_run


class Command(BaseCommand):
    """Read the hours before ``--end`` from the telemetry source and store their aggregates."""

    help = "Read past hours from Prometheus and store their hourly and daily aggregates. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="how many days (default 30)")
        parser.add_argument(
            "--end", metavar="ISO", help="end of the last hour (default: the newest complete hour)"
        )
        parser.add_argument(
            "--service", action="append", default=[], metavar="ID", help="only this one; may repeat"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = request_and_run(
            "telemetry.backfill",
            {"days": options["days"], "end": _aware(options["end"]), "services": options["service"]},
            label="backfill",
            unit=" services",
        )
        summary = run.summary
        self.stdout.write(
            f"{summary['services_with_data']} of {summary['services']} services have data from "
            f"{run.window_start:%Y-%m-%dT%H:%MZ} to {run.window_end:%Y-%m-%dT%H:%MZ}: "
            f"{summary['hours']:,} hours, {summary['latency_hours']:,} latency histograms "
            f"and {summary['edge_hours']:,} edge hours stored."
        )
        for service_id, bins in summary["implausible_bins"].items():
            self.stderr.write(f"{service_id}: {bins} implausible bins were left out.")
        for label, count in summary["personal_labels_dropped"].items():
            self.stderr.write(f"Label {label}: {count} values look like personal data and were dropped.")
        for warning in run.warnings:
            self.stderr.write(f"The source says: {warning}")


def _aware(end: str | None) -> str | None:
    """Take an instant without an offset as UTC."""
    if end is None or end.endswith(("Z", "z")) or "+" in end[10:] or "-" in end[10:]:
        return end
    return f"{end}Z" if "T" in end or " " in end else f"{end}T00:00:00Z"
