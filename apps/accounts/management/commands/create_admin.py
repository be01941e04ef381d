"""`manage.py create_admin`: create the first SRE admin."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.accounts.models import User
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError
from apps.core.models import AuditEntry


class Command(BaseCommand):
    help = "Makes an SRE admin. Without a password on stdin it generates one and prints it once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", help="the command asks for it when it is missing")
        parser.add_argument("--email", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        is_asking = sys.stdin.isatty()
        username = options["username"] or (input("Name: ").strip() if is_asking else "")
        if not username:
            raise CommandError("Name the user: --username NAME.")
        chosen = _asked_password() if is_asking else sys.stdin.readline().rstrip("\r\n")
        if chosen:
            try:
                validate_password(chosen, User(username=username, email=options["email"]))
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from None
        generated = self._create(username, options["email"], chosen)
        self.stderr.write(f"{username} is an SRE admin.{'' if chosen else ' The password, shown this once:'}")
        if not chosen:
            self.stdout.write(generated)

    def _create(self, username: str, email: str, chosen: str) -> str:
        """Make the account. Return the generated password."""
        data = {"username": username, "email": email, "role": User.Role.SRE_ADMIN}
        actor = Actor.system("create_admin", AuditEntry.Source.COMMAND)
        try:
            with transaction.atomic():
                result = dispatch("accounts.create_user", data, actor=actor).value
                if chosen:
                    user = User.objects.get(username=username)
                    user.set_password(chosen)
                    user.save(update_fields=["password"])
        except BallastError as error:
            fields = "".join(f"\n  {field.path}: {field.message}" for field in error.fields)
            raise CommandError(f"{error.detail}{fields}") from None
        return str(result["password"])


def _asked_password() -> str:
    chosen = getpass.getpass("Password (empty: one is generated): ")
    if chosen and getpass.getpass("Again: ") != chosen:
        raise CommandError("The two passwords differ.")
    return chosen
