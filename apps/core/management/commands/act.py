"""`manage.py act NAME --as USER`: run any action from the command line, with the same permissions and audit trail."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import BallastError
from apps.core.models import AuditEntry


class Command(BaseCommand):
    help = "Runs an action as a user, or with --preview says what it would do. The result is JSON on stdout."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="such as slos.accept; docs/actions.md lists them")
        parser.add_argument(
            "--as", dest="username", required=True, metavar="USER", help="whose permissions count"
        )
        parser.add_argument(
            "--input", default="{}", metavar="JSON", help="the action's input; - reads it from stdin"
        )
        parser.add_argument("--preview", action="store_true", help="change nothing")
        parser.add_argument(
            "--idempotency-key", metavar="KEY", help="a repeat with the same key changes nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        text = sys.stdin.read() if options["input"] == "-" else options["input"]
        try:
            data = json.loads(text)
        except ValueError as error:
            raise CommandError(f"The input is not JSON: {error}") from None
        user = get_user_model().objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user called {options['username']}.")
        actor = Actor.person(user, AuditEntry.Source.COMMAND)
        try:
            if options["preview"]:
                answer = asdict(preview(options["name"], data, actor=actor))
            else:
                key = options["idempotency_key"]
                answer = dispatch(options["name"], data, actor=actor, idempotency_key=key).value
        except BallastError as error:
            fields = "".join(f"\n  {field.path}: {field.message}" for field in error.fields)
            raise CommandError(f"{error.title}. {error.detail}{fields}") from None
        self.stdout.write(json.dumps(answer, ensure_ascii=False, default=str))
