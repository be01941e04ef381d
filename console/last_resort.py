"""Ends the children of a supervisor that was killed, where they do not end by themselves.

Linux tells them to stop when the supervisor dies. One that hangs or ignores that would live on, so a small process
waits for the supervisor's end, gives its children the time to stop in order, and kills what is left. On other systems
it also tells them to stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from console.instance import group_lives, recorded_groups

# The edge's draining and its web processes' stop, and a worker's giving back of its runs, take less than this.
GRACE_S = 30.0
POLL_S = 0.1


def watch_this_process(data_dir: Path) -> None:
    """Start the process that watches this one. Call it before any lock is taken and any thread runs."""
    reading, writing = os.pipe()  # The kernel closes the other end with this process, however it ends.
    supervisor = os.getpid()
    if os.fork():
        os.close(reading)
        return
    try:
        os.close(writing)
        _step_aside()
        os.read(reading, 1)
        _end_what_stays(recorded_groups(data_dir, supervisor), must_tell=sys.platform != "linux")
    finally:
        os._exit(0)


def _step_aside() -> None:
    """Leave the terminal and its signals: whoever presses Ctrl-C means the supervisor."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)


def _end_what_stays(groups: list[int], *, must_tell: bool) -> None:
    """Wait for these process groups to end, then kill the rest. With `must_tell`, tell all to stop first."""
    if must_tell:
        _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    # A group that is gone once is not asked about again, because its id may go to somebody else.
    while (groups := [group for group in groups if group_lives(group)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    _signal(groups, signal.SIGKILL)


def _signal(groups: list[int], how: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, how)
