"""``manage.py telemetry``: show how one service is read, find services, or propose metric families."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import BallastError
from apps.telemetry import checks
from apps.telemetry.management import proposing
from apps.telemetry.management.checking import query_lines, reading_lines
from apps.telemetry.management.running import aware, discover, discovery_words


class Command(BaseCommand):
    """``check`` asks about one service; ``discover`` takes in new services; ``propose`` looks for metric families."""

    help = (
        "Show how one service is read from Prometheus, find services and the calls between them "
        "there, or propose metric "
        "families for what it has."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=argparse.ArgumentParser)
        check = verbs.add_parser("check", help="show how one service is read from the source")
        check.add_argument("--service", required=True, metavar="ID")
        check.add_argument("--hours", type=int, default=24, help="how many hours (default 24)")
        check.add_argument("--end", type=_instant, metavar="ISO", help="end of the last hour (default: now)")
        find = verbs.add_parser("discover", help="add new services and calls to the catalog")
        find.add_argument(
            "--days", type=int, default=7, help="how many days to look at, up to 31 (default 7)"
        )
        find.add_argument(
            "--end", metavar="ISO", help="end of the last hour (default: the newest complete hour)"
        )

        propose = verbs.add_parser("propose", help="look at the source's metrics and propose families")
        propose.add_argument(
            "--toml", action="store_true", help="write the recommended families as a configuration file"
        )
        propose.add_argument(
            "--all", action="store_true", help="with --toml: write families that are not recommended too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "propose":
            proposing.propose(self.stdout, self.stderr, as_toml=options["toml"], everything=options["all"])
        elif options["verb"] == "discover":
            self._discover(options["days"], options["end"])
        else:
            self._check(options["service"], options["hours"], options["end"])

    def _discover(self, days: int, end: str | None) -> None:
        run = discover(days, aware(end))
        self.stdout.write(discovery_words(run))
        for name in run.summary["new_names"]:
            self.stdout.write(f"  {name}")
        more = run.summary["new_services"] - len(run.summary["new_names"])
        if more > 0:
            self.stdout.write(f"  … and {more:,} more")
        for warning in run.warnings:
            self.stderr.write(warning)

    def _check(self, service: str, hours: int, end: datetime | None) -> None:
        status = checks.source_check(patient=True)
        if not status["configured"]:
            raise CommandError(f"There is no source to check: {status['detail']}")
        try:
            found = checks.explain(service, hours=hours, end=end, patient=status["is_up"])
        except BallastError as error:
            raise CommandError(error.detail) from error
        if status["is_up"]:
            self.stdout.write(status["detail"])
        elif found.quality.age_seconds:
            self.stderr.write(status["detail"])
        else:
            raise CommandError(status["detail"])
        for line in (*query_lines(found), *reading_lines(found)):
            self.stdout.write(line)
        if any(query.error for query in found.queries):
            raise CommandError("The service could not be read completely.")


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not ISO 8601") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
