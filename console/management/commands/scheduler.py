"""`manage.py scheduler`: start periodic jobs, until SIGTERM or Ctrl-C."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from console import scheduler


class Command(BaseCommand):
    help = "Starts periodic jobs until stopped. Several may run; one of them leads."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        scheduler.run(stopping.is_set, stopping.wait)
