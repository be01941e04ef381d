"""Many recommendations are computed by several processes, and come out as if one had made them."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from apps.catalog.models import Service
from apps.slos import compute as computing
from apps.slos import inputs, side_by_side
from apps.slos.models import Recommendation
from apps.telemetry.series import Counts, load_counts
from tests.house.running import is_alive, until_gone
from tests.slos.conftest import DAY, full_hour, make_edge, make_hours, make_service

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fleet(db: None) -> list[Service]:
    """A chain of services with histories of their own."""
    services = [make_service(f"s{number:02}") for number in range(25)]
    for number, service in enumerate(services):
        make_hours(service, days=3 + number)
    for source, target in pairwise(services):
        make_edge(source, target)
    return services


@pytest.fixture
def _many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processors, and a fleet that is worth them."""
    monkeypatch.setattr(side_by_side, "LEAST_SERVICES", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})


def test_few_are_computed_by_the_process_itself() -> None:
    with side_by_side.computers(side_by_side.LEAST_SERVICES - 1) as found:
        assert found.pool is None


def test_documents_and_their_order_are_the_same(
    fleet: list[Service], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lonely = make_service("a-lonely-one")
    make_hours(lonely, days=9)
    groups = [(full_hour(), fleet[5:]), (full_hour() - DAY, [lonely, *fleet[:5]])]
    alone = [json.dumps(each) for each in computing.documents(groups)]
    request.getfixturevalue("_many")
    # As if the fleet were large: read in batches, ahead of who computes, and with hours forgotten meanwhile.
    monkeypatch.setattr(inputs, "BATCH", 7)
    monkeypatch.setattr(inputs, "MOST_COUNTS", 9)
    monkeypatch.setattr(side_by_side, "AT_ONCE", 2)
    monkeypatch.setattr(side_by_side, "PARTS_AHEAD", 3)
    together = [json.dumps(each) for each in computing.documents(groups)]
    names = [json.loads(each)["service_id"] for each in together]
    assert names == [each.service_id for _, some in groups for each in some]
    assert together == alone


def test_a_fleet_is_read_in_batches_as_if_at_once(
    fleet: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counting(pks: Sequence[int], start: datetime, end: datetime) -> dict[int, Counts]:
        read.extend(pks)
        return load_counts(pks, start, end)

    at_once = inputs.load(fleet, full_hour())
    monkeypatch.setattr(inputs, "BATCH", 4)
    monkeypatch.setattr(inputs, "load_counts", counting)
    cycles: dict[str, tuple[str, ...]] = {}
    in_batches = [each for batch in inputs.batches(fleet, full_hour(), cycles=cycles) for each in batch]
    assert [*map(pickle.dumps, in_batches)] == [*map(pickle.dumps, at_once)]
    assert sorted(read) == sorted(each.pk for each in fleet), (
        "each once, though nearly all are called by another"
    )


@pytest.mark.usefixtures("_many")
def test_a_refresh_stores_what_they_found(fleet: list[Service]) -> None:
    assert computing.refresh(None, reason="a test") == len(fleet)
    assert Recommendation.objects.filter(status="current", verdict="cold_start").count() == len(fleet)


_PARENT = """
import sys, time
from apps.slos import side_by_side
side_by_side.LEAST_SERVICES = 0
if __name__ == "__main__":
    import os
    os.sched_getaffinity = lambda pid: {0, 1}
    with side_by_side.computers(1) as found:
        print(sorted({found.pool.submit(os.getpid).result() for _ in range(50)}), flush=True)
        time.sleep(600)
"""


def test_they_end_with_whoever_began_them(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        children = json.loads(parent.stdout.readline())
        assert children
        assert all(map(is_alive, children))
        parent.send_signal(signal.SIGKILL)
    until_gone(children)
