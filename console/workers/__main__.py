"""The worker: ``python -m console.workers QUEUE… [--threads N]``, one process for any number of lanes.

The supervisor, the compose file and Kubernetes run several of them, with a separate one for ``interactive``, so that no
person waits for an import. This entry loads the heavy libraries before the first message and polls the interactive lane
more often, which `dramatiq` itself does not.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from importlib import import_module, util
from types import FrameType

import django

from console.configuration import Configuration
from console.environment import ConfigurationError

# A person waits for this lane, so an idle worker polls it this often.
INTERACTIVE_POLL_MS = 50
# With twenty fetches a second instead of one, maintenance needs a twentieth of the usual chance.
INTERACTIVE_MAINTENANCE_CHANCE = 25_000
POLL_MS = 1_000
CLOCK_WATCHED_EVERY_S = 60.0
DRAIN_TIMEOUT_MS = 20_000
BULK_NICENESS = 5
PRELOADED = ("scipy.stats", "networkx", "apps.engine.recommend")


def setup() -> None:
    """Load Django and every room's actors."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    from apps.core.rooms import modules

    list(modules("tasks"))


def preload() -> None:
    """Import the engine's libraries, so that the first computation does not wait for them."""
    for name in PRELOADED:
        if util.find_spec(name):
            import_module(name)


def _watch_clock() -> None:
    from django.db import DatabaseError, connection

    from apps.core.database import clocks

    try:
        clocks.watch()
    except DatabaseError:  # Other parts report that it is away.
        connection.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m console.workers", description="Process messages until SIGTERM."
    )
    parser.add_argument("queues", nargs="+", choices=("interactive", "default", "bulk"), metavar="QUEUE")
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args(arguments)
    try:
        Configuration.read()
    except ConfigurationError as error:
        sys.stderr.write(f"ballast: {error}\n")
        return 1
    interactive = "interactive" in options.queues
    if not interactive:
        os.nice(BULK_NICENESS)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    setup()

    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.worker import Worker

    broker = dramatiq.get_broker()
    assert isinstance(broker, RedisBroker)
    broker.emit_after("process_boot")
    if interactive:
        broker.maintenance_chance = INTERACTIVE_MAINTENANCE_CHANCE
        preload()
    worker = Worker(
        broker,
        queues=set(options.queues),
        worker_timeout=INTERACTIVE_POLL_MS if interactive else POLL_MS,
        worker_threads=options.threads,
    )
    worker.start()
    while not stopping.wait(CLOCK_WATCHED_EVERY_S):
        _watch_clock()
    worker.stop(timeout=DRAIN_TIMEOUT_MS)
    broker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
