"""`manage.py relay`: deliver events to subscribers until SIGTERM or Ctrl-C; `--revive` makes parked ones due again."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.core.delivery import relay


class Command(BaseCommand):
    help = "Delivers outbox events to their subscribers until stopped."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--revive", action="store_true", help="make parked deliveries due again, say how many, and end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["revive"]:
            self.stdout.write(f"{relay.revive()} parked deliveries are due again.")
            return
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        relay.run(stopping.is_set)
