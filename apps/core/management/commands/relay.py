"""`manage.py relay`: tell subscribers of what has happened, until SIGTERM or Ctrl-C."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from apps.core import relay


class Command(BaseCommand):
    help = "Delivers outbox events to their subscribers until stopped."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        relay.run(stopping.is_set)
