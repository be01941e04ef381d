"""Many recommendations are computed by several processes, and come out as if one had made them."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from apps.catalog.models import Service
from apps.engine.types import GraphFigure, Quality, ServiceInput
from apps.slos.making import compute as computing
from apps.slos.making import footing, inputs, side_by_side
from apps.slos.models import Recommendation
from apps.telemetry.series import Counts, load_counts
from tests.house.running import is_alive, until_gone
from tests.slos.conftest import DAY, full_hour, make_days, make_edge, make_hours, make_service

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
    alone = [json.dumps(each) for each in computing.documents(groups, has_stored=True)]
    request.getfixturevalue("_many")
    # As if the fleet were large: read in batches, ahead of who computes, and with hours forgotten meanwhile.
    monkeypatch.setattr(inputs, "BATCH", 7)
    monkeypatch.setattr(inputs, "MOST_COUNTS", 9)
    monkeypatch.setattr(side_by_side, "AT_ONCE", 2)
    monkeypatch.setattr(side_by_side, "PARTS_AHEAD", 3)
    together = [json.dumps(each) for each in computing.documents(groups, has_stored=True)]
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


def _unreadable(service: ServiceInput) -> ServiceInput:
    """A service whose counts nobody can read: fewer failures than hours."""
    assert service.counts is not None
    return replace(service, counts=replace(service.counts, bad=service.counts.bad[:-1]))


def _unassessable(service: ServiceInput) -> ServiceInput:
    """A service that can be read, and not assessed: nothing is known of the quality of its data."""
    return replace(service, quality=cast(Quality, None))


@pytest.fixture(params=[(_unreadable, "ValueError"), (_unassessable, "AttributeError")])
def error(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One service is broken; what is raised for it."""
    breaks, raised = request.param
    batches = inputs.batches

    def with_a_broken_one(*args: Any, **options: Any) -> Iterator[list[ServiceInput]]:
        for batch in batches(*args, **options):
            yield [breaks(each) if each.service_id == "s07" else each for each in batch]

    monkeypatch.setattr(inputs, "batches", with_a_broken_one)
    return str(raised)


@pytest.mark.usefixtures("_many")
def test_one_that_the_engine_fails_on_keeps_no_other_from_its_numbers(
    fleet: list[Service], error: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        assert computing.refresh(None, reason="a test") == len(fleet) - 1
    made = set(Recommendation.objects.filter(status="current").values_list("service__service_id", flat=True))
    assert made == {each.service_id for each in fleet} - {"s07"}
    failed = [each for each in logs if each["event"] == "slos.assessment_failed"]
    assert {each["service"] for each in failed} == {"s07"}
    assert error in failed[0]["error"]


def test_who_asks_for_one_that_the_engine_fails_on_is_told_which(fleet: list[Service], error: str) -> None:
    with pytest.raises(computing.Unassessable, match=f"(?s)s07 could not be assessed.*{error}"):
        list(computing.documents([(full_hour(), fleet)]))


@pytest.mark.usefixtures("_many")
def test_who_stops_early_leaves_nobody_at_work(fleet: list[Service]) -> None:
    with closing(computing.documents([(full_hour(), fleet)])) as documents:
        assert next(documents)["service_id"] == "s00"
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.usefixtures("_many")
@pytest.mark.parametrize("victim", ["those who compute", "the one that they are forked from"])
def test_a_run_whose_process_is_killed_fails_and_does_not_wait_for_ever(
    fleet: list[Service], monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    figures = footing.figures

    def killing(*args: Any, **options: Any) -> dict[str, GraphFigure]:
        pids = [child.pid or 0 for child in multiprocessing.active_children()]
        for pid in pids if victim == "those who compute" else set(map(_parent, pids)):
            os.kill(pid, signal.SIGKILL)
        return figures(*args, **options)

    monkeypatch.setattr(footing, "figures", killing)
    monkeypatch.setattr(side_by_side, "PARTS_AHEAD", 1_000)
    monkeypatch.setattr(side_by_side, "AT_ONCE", 1)
    with pytest.raises(BrokenProcessPool):
        computing.refresh(None, reason="a test")
    monkeypatch.undo()
    assert computing.refresh(None, reason="a test") == len(fleet), "and the next one makes all of them"


def test_a_service_given_twice_is_refused(fleet: list[Service]) -> None:
    groups = [(full_hour(), fleet), (full_hour() - DAY, fleet[:1])]
    with pytest.raises(ValueError, match="twice"):
        list(computing.documents(groups, has_stored=True))


def test_what_stands_below_is_computed_at_one_instant_alone(fleet: list[Service]) -> None:
    groups = [(full_hour(), fleet[1:]), (full_hour() - DAY, fleet[:1])]
    with pytest.raises(ValueError, match="one instant"):
        list(computing.documents(groups))


@pytest.mark.django_db
def test_one_alone_stands_on_the_same_figures_as_among_all() -> None:
    # Of the middle one hours tell of five days and days of a hundred: how available it is, is read from the days.
    caller, middle, below = (make_service(name) for name in ("caller", "middle", "below"))
    make_hours(caller, days=40)
    make_hours(middle, days=5)
    make_days(middle, [0.01] * 100, end=full_hour())
    make_hours(below, days=40)
    make_edge(caller, middle)
    make_edge(middle, below)
    at = full_hour()

    def figure_of_caller(services: list[Service]) -> GraphFigure:
        asked = side_by_side.Asked(int(at.timestamp()), 28, 0, computing.archetypes())
        with side_by_side.computers(len(services)) as by:
            known = by.begin(inputs.load(services, at), asked)
        return footing.figures([(at, services)], known, cycles={})["caller"]

    assert figure_of_caller([caller]) == figure_of_caller([caller, middle, below])


@pytest.mark.usefixtures("_many")
def test_they_are_forked_from_a_process_that_has_loaded_the_engine() -> None:
    with side_by_side.computers(side_by_side.LEAST_SERVICES) as found:
        assert found.pool is not None
        server = found.pool.submit(os.getppid).result()
        assert server != os.getpid()
        assert "_multiarray_umath" in Path(f"/proc/{server}/maps").read_text(), "numpy is loaded there"


_ALONE = """
import multiprocessing.util, os, shutil, sys
from apps.engine.archetypes import Archetypes
from apps.engine.types import ServiceInput
from apps.slos.making import side_by_side
side_by_side.LEAST_SERVICES = 0
if __name__ == "__main__":
    os.sched_getaffinity = lambda pid: {0, 1}
    with side_by_side.computers(1) as by:
        if "swept" in sys.argv:
            shutil.rmtree(multiprocessing.util.get_temp_dir())
        by.begin([ServiceInput("svc")], side_by_side.Asked(0, 28, 0, Archetypes.built_in()))
        print(by.found("svc").service_id, by.pool, flush=True)
"""


@pytest.mark.parametrize("reason", ["swept", "the path is too long"])
def test_where_none_can_be_begun_the_process_computes_alone(tmp_path: Path, reason: str) -> None:
    script = tmp_path / "alone.py"
    script.write_text(_ALONE)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / ("" if reason == "swept" else "long" * 25)
        place.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(script), reason],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(place)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert done.stdout.splitlines()[-1] == "svc None"
    assert "slos.computes_alone" in done.stdout


_PARENT = """
import sys, time
from apps.slos.making import side_by_side
side_by_side.LEAST_SERVICES = 0
if __name__ == "__main__":
    import os
    os.sched_getaffinity = lambda pid: {0, 1}
    with side_by_side.computers(1) as found:
        pids = {found.pool.submit(function).result() for function in (os.getpid, os.getppid) for _ in range(50)}
        print(sorted(pids - {os.getpid()}), flush=True)
        time.sleep(600)
"""


def test_they_end_with_whoever_began_them(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    # Who is killed leaves the folder of its socket behind, whose path may not be long.
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, str(script)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": folder},
            stdout=subprocess.PIPE,
            text=True,
        ) as parent,
    ):
        assert parent.stdout is not None
        children = json.loads(parent.stdout.readline())
        assert len(children) > 1, "and the one that they were forked from"
        assert all(map(is_alive, children))
        parent.send_signal(signal.SIGKILL)
    until_gone(children)
