"""`manage.py demo`: load, extend and remove the demo fleet, and list its sign-ins."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.accounts.queries import nobody_can_sign_in, nobody_yet
from apps.core import dispatcher
from apps.core.actions import Actor
from apps.core.errors import BallastError
from apps.core.models import AuditEntry
from apps.demo import queries, signins


class Command(BaseCommand):
    help = "The demo fleet: a shop and its payments platform, with a year of made-up history."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser(
            "ensure", help="load it unless it was removed, extend it to now (what `make up` does)"
        )
        verbs.add_parser("load", help="load it, even after a removal, and extend it to now")
        verbs.add_parser("extend", help="extend it to the last full hour")
        remove = verbs.add_parser("remove", help="remove it, and nothing else")
        remove.add_argument("--dry-run", action="store_true", help="list what would go, and change nothing")
        sign_ins = verbs.add_parser("signins", help="print its users and their passwords")
        sign_ins.add_argument(
            "--reset", action="store_true", help="give every demo user a new password first"
        )
        sign_ins.add_argument(
            "--json", action="store_true", help="print a JSON object: user name to password"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["verb"])(**options)
        except BallastError as error:
            raise CommandError(error.detail) from None

    def ensure(self, **_options: Any) -> None:
        """Load the demo and bring it up to date, unless ``DEMO=0``, it was removed, or its names are taken."""
        if not settings.DEMO:
            self._note("DEMO is 0: no demo.")
            return
        standing = queries.standing()
        if standing is not None and not standing.is_wanted:
            self._note(
                f"The demo was removed on {standing.since:%Y-%m-%d}; `manage.py demo load` brings it back."
            )
            return
        self._bring(standing)

    def load(self, **_options: Any) -> None:
        """Load the demo, or finish an interrupted load, and bring it up to date."""
        self._bring(queries.standing())

    def extend(self, **_options: Any) -> None:
        """Bring the demo up to date, if there is one."""
        standing = queries.standing()
        if standing is None or not standing.is_wanted:
            raise CommandError("There is no demo here. `manage.py demo load` brings it in.")
        self._bring(standing)

    def remove(self, *, dry_run: bool, **_options: Any) -> None:
        """Remove the demo, or list what would go."""
        standing = queries.standing()
        if (standing is None or not standing.is_wanted) and not queries.service_pks():
            self.stdout.write("There is no demo here.")
            return
        if dry_run:
            preview = dispatcher.preview("demo.remove", {}, actor=self._actor())
            self.stdout.write(preview.summary)
            for touch in preview.touches:
                self.stdout.write(f"  {touch.count:>9,} {touch.label}")
            for warning in preview.warnings:
                self.stdout.write(warning)
            return
        gone = dispatcher.dispatch("demo.remove", {}, actor=self._actor()).value
        signins.forget()
        self.stdout.write(
            f"Removed the demo: {gone['services']} services, {gone['dependencies']} dependencies, "
            f"{gone['bins']:,} hours and days of telemetry, {gone['slos']} SLOs, "
            f"{gone['recommendations']} recommendations, {gone['teams']} teams, {gone['users']} users."
        )
        for line in queries.words_on_what_stays(gone["users_kept"], gone["teams_kept"]):
            self.stdout.write(line)
        self._say_who_can_sign_in()

    def signins(self, *, reset: bool, json: bool, **_options: Any) -> None:
        """Print who can sign in. Without a demo, say on stderr why nobody can."""
        standing = queries.standing()
        is_here = standing is not None and standing.is_wanted
        sign_ins = signins.ensure(reset=reset) if is_here else []
        if not is_here:
            gone = "was removed" if standing is not None else "was never loaded"
            self._note(f"The demo {gone}, so it has no sign-ins; `manage.py demo load` brings it in.")
            self._say_who_can_sign_in()
        if json:
            self.stdout.write(_as_json(sign_ins))
            return
        if not sign_ins:
            return
        self.stdout.write("Sign in as")
        name, password = (
            max(len(getattr(each, part)) for each in sign_ins) for part in ("username", "password")
        )
        for each in sign_ins:
            self.stdout.write(f"  {each.username:<{name}}  {each.password:<{password}}  {each.words}")

    def _bring(self, standing: queries.Standing | None) -> None:
        from apps.demo import services

        if standing is None or not standing.is_wanted:
            dispatcher.dispatch("demo.load", {}, actor=self._actor())
        report = services.bring_up_to_date(timezone.now(), say=self._note)
        done = [
            f"{count} {what}"
            for count, what in (
                (report.hours, "hours and days"),
                (report.recommendations, "recommendations"),
                (report.decisions, "decisions"),
            )
            if count
        ]
        self.stdout.write(f"The demo is up to date{': ' + ', '.join(done) if done else ''}.")

    def _actor(self) -> Actor:
        return Actor.system("demo", AuditEntry.Source.COMMAND)

    def _say_who_can_sign_in(self) -> None:
        if nobody_can_sign_in():
            self._note(nobody_yet())

    def _note(self, line: str) -> None:
        self.stderr.write(line)


def _as_json(sign_ins: list[signins.SignIn]) -> str:
    return json.dumps({each.username: each.password for each in sign_ins}, indent=2)
