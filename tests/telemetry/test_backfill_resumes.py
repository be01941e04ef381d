"""A backfill that is broken off goes on where it was: what is stored is not asked for again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.models import AuditEntry, Run
from apps.core.runs import execute
from apps.telemetry import services
from apps.telemetry.models import SliDay, SliHour, TelemetryRun
from apps.telemetry.runs import Reading
from apps.telemetry.storing import collecting
from tests.telemetry.prometheus_server import Form, Reply, Server, matrix, success
from tests.telemetry.test_prometheus_source import Fleet

pytestmark = pytest.mark.django_db
END = datetime(2026, 11, 1, 12, tzinfo=UTC)
IDS = [f"shop-{number}" for number in range(6)]
NAMED = re.compile(r"shop-\d")


class Killed(BaseException):
    """Ends a worker in the midst of its work."""


@pytest.fixture
def six(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six services with a hundred requests an hour, read two at a time."""
    monkeypatch.setattr(collecting, "_MAX_SERVICES_PER_BATCH", 2)

    def answer(form: Form) -> Reply:
        first, last, step = (int(form[name][0]) for name in ("start", "end", "step"))
        values = [(at, "100") for at in range(first, last + 1, step)]
        found = sorted(set(NAMED.findall(form["query"][0])))
        return success(matrix(*(({"service": name}, values) for name in found)))

    fleet.says("http_requests_total", answer)
    for service_id in IDS:
        Service.objects.create(service_id=service_id)


def requested() -> TelemetryRun:
    return services.request_run(
        TelemetryRun.Kind.BACKFILL,
        source="prometheus",
        parameters=Reading(),
        actor=Actor.system("test", AuditEntry.Source.COMMAND),
        window=(END - timedelta(days=1), END),
    )


def killed_at(run: TelemetryRun, services_done: int) -> Run:
    """Let a worker begin, and die after so many services; its lease has run out."""

    def observe(done: int, _total: int) -> None:
        if done >= services_done:
            raise Killed

    with pytest.raises(Killed):
        execute(run.pk, observe=observe)
    Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(lease_until=END - timedelta(days=1))
    return Run.objects.get(pk=run.pk)


def asked_about(prometheus: Server, since: int) -> set[str]:
    return {name for query in prometheus.queries()[since:] for name in NAMED.findall(query)}


def test_what_was_stored_is_not_asked_again_and_counts(prometheus: Server, six: None) -> None:
    run = requested()
    assert killed_at(run, 4).position["after"] == "shop-3"
    assert SliHour.objects.count() == 4 * 24
    asked = len(prometheus.queries())
    done = services.execute_run(run.pk)
    assert asked_about(prometheus, asked) == {"shop-4", "shop-5"}
    assert done.state == Run.State.COMPLETED
    assert done.summary["services"] == done.summary["services_with_data"] == 6
    assert done.summary["hours"] == SliHour.objects.count() == 6 * 24
    assert (done.progress_done, done.progress_total) == (6, 6)


def test_a_whole_reading_and_a_broken_off_one_have_the_same_summary(prometheus: Server, six: None) -> None:
    whole = services.execute_run(requested().pk).summary
    SliHour.objects.all().delete()
    SliDay.objects.all().delete()
    run = requested()
    killed_at(run, 2)
    killed_at(run, 4)
    assert services.execute_run(run.pk).summary == whole


def test_deaths_that_each_got_further_do_not_use_up_its_attempts(prometheus: Server, six: None) -> None:
    run = requested()
    for _ in range(2):
        killed_at(run, 0)
    assert killed_at(run, 2).attempts == 1
    for _ in range(2):
        killed_at(run, 2)
    assert services.execute_run(run.pk).state == Run.State.GIVEN_UP
    run = requested()
    for done in (0, 0, 2, 2, 4, 4, 6, 6):
        assert killed_at(run, done).attempts <= 2
    assert services.execute_run(run.pk).state == Run.State.COMPLETED


def test_one_that_always_dies_at_the_same_place_is_given_up(prometheus: Server, six: None) -> None:
    run = requested()
    assert [killed_at(run, 2).attempts for _ in range(3)] == [1, 2, 3]
    given_up = services.execute_run(run.pk)
    assert given_up.state == Run.State.GIVEN_UP
    assert given_up.errors[0]["reason"].startswith("It was started 3 times since it last got further")


def test_a_service_that_went_away_meanwhile_makes_it_read_all(prometheus: Server, six: None) -> None:
    run = requested()
    killed_at(run, 2)
    Service.objects.filter(service_id="shop-1").update(service_id="other")
    asked = len(prometheus.queries())
    assert services.execute_run(run.pk).state == Run.State.COMPLETED
    assert asked_about(prometheus, asked) == set(IDS) - {"shop-1"}
