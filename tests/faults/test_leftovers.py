"""What a killed supervisor leaves is recognised and ended, also on systems without proc(5)."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console import instance, last_resort
from console.embedded.state import make_data_dir
from console.instance import Instance, recorded_groups

STAYS = "import time; print('up', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAYS}"

type Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture(params=["proc", "ps"])
def data_dir(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder on a system with proc(5), and on one where only ps tells when a process started."""
    if request.param == "ps":
        if shutil.which("ps") is None:
            pytest.skip("ps is not installed")
        monkeypatch.setattr(instance, "PROC", tmp_path / "no proc")
    elif not Path("/proc/self/stat").exists():
        pytest.skip("this system has no proc(5)")
    folder = tmp_path / "data"
    make_data_dir(folder)
    return folder


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program in a session of its own, and takes note of its end at once, as init does of orphans."""
    started: list[tuple[subprocess.Popen[bytes], threading.Thread]] = []

    def run(program: str) -> subprocess.Popen[bytes]:
        one = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True
        )
        assert one.stdout is not None
        assert one.stdout.readline() == b"up\n"
        noting = threading.Thread(target=one.wait)
        noting.start()
        started.append((one, noting))
        return one

    yield run
    for one, noting in started:
        one.kill()
        noting.join()
        assert one.stdout is not None
        one.stdout.close()


def test_the_next_start_ends_what_is_left(data_dir: Path, start: Start) -> None:
    left = start(STAYS)
    claimed = Instance.claim(data_dir, "an address")
    claimed.record([left.pid])
    assert recorded_groups(data_dir) == [left.pid]
    claimed.end_leftovers()
    assert left.wait() == -signal.SIGTERM
    assert recorded_groups(data_dir) == []


def test_a_later_process_with_the_same_id_is_left_alone(data_dir: Path, start: Start) -> None:
    other = start(STAYS)
    claimed = Instance.claim(data_dir, "an address")
    claimed.record([other.pid])
    file = data_dir / "run" / "supervisor.json"
    record = json.loads(file.read_text())
    record["children"][str(other.pid)] = "long ago"
    file.write_text(json.dumps(record))
    claimed.end_leftovers()
    assert other.poll() is None


def test_another_time_zone_or_language_does_not_hide_it(
    data_dir: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = start(STAYS)
    Instance.claim(data_dir, "an address").record([left.pid])
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert recorded_groups(data_dir) == [left.pid]


def test_the_watcher_tells_those_that_nobody_told_and_kills_who_does_not_hear(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_resort, "GRACE_S", 1.0)
    hears, deaf = start(STAYS), start(DEAF)
    last_resort._end_what_stays([hears.pid, deaf.pid], must_tell=True)
    assert (hears.wait(), deaf.wait()) == (-signal.SIGTERM, -signal.SIGKILL)


def test_the_watcher_tells_nobody_twice(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_resort, "GRACE_S", 0.0)
    told = start(STAYS)
    last_resort._end_what_stays([told.pid], must_tell=False)
    assert told.wait() == -signal.SIGKILL
