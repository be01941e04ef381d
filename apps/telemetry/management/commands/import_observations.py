"""``manage.py import_observations DIR``: import a folder of files."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.telemetry.management.running import request_and_run


class Command(BaseCommand):
    """Check every row of a folder, then store all rows or nothing."""

    help = (
        "Import services, dependencies and observations from a folder (docs/file-format.md). Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", metavar="DIR")
        parser.add_argument("--origin", default="", help="a mark on the services that the import creates")

    def handle(self, *args: Any, **options: Any) -> None:
        run = request_and_run(
            "telemetry.import",
            {"path": options["directory"], "origin": options["origin"]},
            label="import",
            unit="B",
        )
        for name, rows in run.summary["rows"].items():
            self.stdout.write(f"{name}: {rows:,} row{'' if rows == 1 else 's'}")
        for kind in ("services", "dependencies"):
            counts = run.summary["graph"].get(kind)
            if counts:
                self.stdout.write(
                    f"{kind}: " + ", ".join(f"{count} {what}" for what, count in counts.items())
                )
        self.stdout.write(
            f"stored: {run.summary['hours']:,} hours, {run.summary['days']:,} days, "
            f"{run.summary['latency_hours']:,} latency histograms, {run.summary['edge_hours']:,} edge hours"
        )
        for warning in run.warnings:
            self.stderr.write(warning)
