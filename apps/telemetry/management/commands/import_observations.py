"""``manage.py import_observations DIR``: import a folder of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from apps.telemetry.management.running import request_and_run

if TYPE_CHECKING:
    from apps.telemetry.imports.importing import Imported


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
        summary: Imported = run.summary
        for name, rows in summary["rows"].items():
            self.stdout.write(f"{name}: {rows:,} row{'' if rows == 1 else 's'}")
        for kind in ("services", "dependencies"):
            counts = run.summary["graph"].get(kind)
            if counts:
                self.stdout.write(
                    f"{kind}: " + ", ".join(f"{count} {what}" for what, count in counts.items())
                )
        self.stdout.write(
            f"stored: {summary['hours']:,} hours, {summary['days']:,} days, "
            f"{summary['latency_hours']:,} latency histograms, {summary['edge_hours']:,} edge hours"
        )
        for warning in run.warnings:
            self.stderr.write(warning)
