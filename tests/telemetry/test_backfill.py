"""Backfills and hourly collections: what a source has, into the aggregates, once however often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.models import AuditEntry, OutboxEvent, Run
from apps.telemetry import checks, services
from apps.telemetry.clients.errors import SourceRefused
from apps.telemetry.models import ContestedHour, EdgeHour, LatencyHour, SliDay, SliHour, TelemetryRun
from apps.telemetry.runs import Reading
from tests.telemetry.prometheus_server import Form, Reply, Server, error, matrix, success
from tests.telemetry.test_prometheus_source import Fleet

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
END = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACTOR = Actor.system("test", AuditEntry.Source.COMMAND)


def steady(value: str, **labels: str) -> Callable[[Form], Reply]:
    """A series with this value in every bin that is asked for, or at the instant."""

    def answer(form: Form) -> Reply:
        if "time" in form:
            at = int(form["time"][0])
            return success({"resultType": "vector", "result": [{"metric": labels, "value": [at, value]}]})
        first, last, step = (int(form[name][0]) for name in ("start", "end", "step"))
        return success(matrix((labels, [(at, value) for at in range(first, last + 1, step)])))

    return answer


@pytest.fixture
def shop(fleet: Fleet) -> Service:
    fleet.metrics += ["http_request_duration_seconds_bucket"]
    fleet.says("code=~", steady("1", service="shop"))
    fleet.says("_bucket", steady("100", service="shop", le="+Inf"))
    fleet.says("http_requests_total", steady("100", service="shop"))
    fleet.says("graph_request_total", steady("50", client="shop", server="db"))
    return Service.objects.create(service_id="shop")


def backfill(days: int = 2, end: datetime = END, **parameters: object) -> TelemetryRun:
    run = services.request_run(
        TelemetryRun.Kind.BACKFILL,
        source="prometheus",
        parameters=Reading.model_validate(parameters),
        actor=ACTOR,
        window=(end - timedelta(days=days), end),
    )
    return services.execute_run(run.pk)


def test_it_stores_hours_days_histograms_and_edges(prometheus: Server, shop: Service) -> None:
    Service.objects.create(service_id="db")
    run = backfill()
    assert run.state == TelemetryRun.State.COMPLETED
    assert run.summary["services_with_data"] == 1
    assert run.summary["hours"] == SliHour.objects.count() == 48
    assert {(hour.total, hour.bad, hour.observed_seconds) for hour in SliHour.objects.all()} == {
        (100, 1, 3600)
    }
    assert SliHour.objects.order_by("bin_start")[0].bin_start == END - timedelta(days=2)
    assert sum(day.total for day in SliDay.objects.all()) == 4800
    assert LatencyHour.objects.count() == 48
    assert EdgeHour.objects.count() == 48


def test_doing_it_twice_changes_nothing(prometheus: Server, shop: Service) -> None:
    backfill()
    before = sorted(SliHour.objects.values_list(), key=repr) + sorted(SliDay.objects.values_list(), key=repr)
    backfill()
    assert before == sorted(SliHour.objects.values_list(), key=repr) + sorted(
        SliDay.objects.values_list(), key=repr
    )


def test_a_run_that_is_done_is_not_done_again(prometheus: Server, shop: Service) -> None:
    run = backfill()
    asked = len(prometheus.asked)
    assert services.execute_run(run.pk).state == TelemetryRun.State.COMPLETED
    assert len(prometheus.asked) == asked


def leave_behind(run: TelemetryRun, **values: Any) -> None:
    """Make a run look as one whose worker was killed a while ago."""
    past = END - timedelta(days=1)
    left = {"state": Run.State.RUNNING, "finished_at": None, "lease_until": past} | values
    Run.objects.filter(pk=run.pk).update(**left)


def test_a_run_whose_worker_was_killed_is_taken_up(prometheus: Server, shop: Service) -> None:
    run = backfill()
    leave_behind(run)
    assert services.execute_run(run.pk).attempts == 2


def test_a_run_that_kills_its_workers_is_given_up(prometheus: Server, shop: Service) -> None:
    run = backfill()
    leave_behind(run, attempts=3)
    assert services.execute_run(run.pk).state == TelemetryRun.State.GIVEN_UP


def test_it_tells_whoever_listens_that_telemetry_was_stored(prometheus: Server, shop: Service) -> None:
    run = backfill()
    event = OutboxEvent.objects.get(topic="telemetry.stored")
    assert event.payload["run"] == str(run.pk)
    assert event.payload["window_end"] == END.isoformat()


def test_edges_to_services_nobody_knows_are_counted_not_stored(prometheus: Server, shop: Service) -> None:
    assert backfill(days=1).summary["edges_to_unknown_services"] == 1
    assert EdgeHour.objects.count() == 0


def test_implausible_hours_are_marked_and_left_out_of_the_counts(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    fleet.says("code=~", steady("500", service="shop"))
    run = backfill(days=1)
    assert run.summary["implausible_bins"] == {"shop": 24}
    assert {(hour.total, hour.observed_seconds, hour.is_implausible) for hour in SliHour.objects.all()} == {
        (0, 0, True)
    }


def test_a_better_answer_takes_the_place_of_an_implausible_one(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    fleet.says("code=~", steady("500", service="shop"))
    backfill(days=1)
    fleet.says("code=~", steady("2", service="shop"))
    backfill(days=1)
    assert {(hour.bad, hour.is_implausible) for hour in SliHour.objects.all()} == {(2, False)}
    fleet.says("code=~", steady("500", service="shop"))
    backfill(days=1)
    assert {(hour.bad, hour.is_implausible) for hour in SliHour.objects.all()} == {(2, False)}


def test_partial_answers_are_marked_and_their_warnings_kept(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    def partial(form: Form) -> Reply:
        first, last, step = (int(form[name][0]) for name in ("start", "end", "step"))
        data = matrix(({"service": "shop"}, [(at, "100") for at in range(first, last + 1, step)]))
        return success(data, warnings=["one store did not answer"])

    fleet.says("http_requests_total", partial)
    run = backfill(days=1)
    assert run.warnings == ["one store did not answer"]
    assert all(hour.is_partial for hour in SliHour.objects.all())


def test_a_source_that_refuses_fails_the_run_with_its_reason(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    fleet.says("code=~", error(400, "bad_data", "unknown function"))
    with pytest.raises(SourceRefused):
        backfill(days=1)
    run = TelemetryRun.objects.get()
    assert run.state == TelemetryRun.State.FAILED
    assert "unknown function" in run.errors[0]["reason"]
    assert run.summary["failure"] == run.errors[0]["reason"]


def test_only_the_services_asked_for_are_read(prometheus: Server, shop: Service) -> None:
    Service.objects.create(service_id="other")
    backfill(days=1, services=["shop"])
    assert all("other" not in query for query in prometheus.queries())


def test_the_demo_fleet_is_not_looked_for_in_a_real_source(prometheus: Server, shop: Service) -> None:
    Service.objects.create(service_id="demo-shop", origin="demo")
    assert backfill(days=1).summary["services"] == 1


def test_the_hourly_collection_reads_what_is_complete_and_a_little_before(
    prometheus: Server, shop: Service
) -> None:
    run = services.collect_hour(now=END + timedelta(minutes=5))
    assert run is not None
    assert (run.window_start, run.window_end) == (END - 2 * HOUR, END)
    assert run.requested_by_name == "system: telemetry.collect_hour"
    assert SliHour.objects.count() == 2


def test_the_hourly_collection_does_not_take_an_hour_that_is_not_over(
    prometheus: Server, shop: Service
) -> None:
    run = services.collect_hour(now=END + timedelta(minutes=1))
    assert run is not None
    assert run.window_end == END - HOUR


def test_after_an_outage_the_collection_catches_up(prometheus: Server, shop: Service) -> None:
    services.collect_hour(now=END + timedelta(minutes=5))
    services.collect_hour(now=END + timedelta(hours=9, minutes=5))
    assert SliHour.objects.count() == 2 + 9
    run = services.collect_hour(now=END + timedelta(days=60))
    assert run is not None
    assert run.window_end is not None
    assert run.window_start == run.window_end - services.CATCH_UP


def test_without_a_source_nothing_is_collected(settings: object) -> None:
    assert services.collect_hour(now=END) is None
    assert not TelemetryRun.objects.exists()


def test_a_stored_reading_is_announced_only_within_a_transaction(prometheus: Server, shop: Service) -> None:
    backfill(days=1)
    assert OutboxEvent.objects.filter(topic="telemetry.stored").count() == 1


def test_explaining_stores_nothing(prometheus: Server, shop: Service) -> None:
    with time_machine.travel(END + timedelta(minutes=30), tick=False):
        found = checks.explain("shop")
    assert len(found.availability.series["shop"].at) == 24
    assert found.end == int(END.timestamp())
    assert not SliHour.objects.exists()
    assert not TelemetryRun.objects.exists()


def test_checking_the_source_says_whether_it_answers(prometheus: Server) -> None:
    status = checks.source_check()
    assert (status["configured"], status["is_up"], status["version"]) == (True, True, "3.1.0")
    prometheus.answering = lambda path, form: Reply(body=b"", status=401)
    assert not checks.source_check()["is_up"]


def test_checking_without_a_source_says_so() -> None:
    assert checks.source_check()["configured"] is False


def store_partial(fleet: Fleet, value: str) -> None:
    """Let the source say that what it knows of the requests is incomplete."""

    def partial(form: Form) -> Reply:
        first, last, step = (int(form[name][0]) for name in ("start", "end", "step"))
        data = matrix(({"service": "shop"}, [(at, value) for at in range(first, last + 1, step)]))
        return success(data, warnings=["one store did not answer"])

    fleet.says("http_requests_total", partial)


def test_an_incomplete_answer_does_not_take_the_place_of_a_complete_one(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    backfill(days=1)
    store_partial(fleet, "60")
    backfill(days=1)
    assert {(hour.total, hour.is_partial) for hour in SliHour.objects.all()} == {(100, False)}


def test_hours_that_shrink_wait_for_a_second_reading_some_minutes_later(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    backfill(days=1)
    fleet.says("http_requests_total", steady("60", service="shop"))
    with time_machine.travel(END, tick=False):
        run = backfill(days=1)
        assert run.summary["contested_hours"] >= 24
        backfill(days=1)
    assert {hour.total for hour in SliHour.objects.all()} == {100}
    with time_machine.travel(END + timedelta(minutes=5), tick=False):
        assert backfill(days=1).summary["settled_hours"] >= 24
    assert {hour.total for hour in SliHour.objects.all()} == {60}
    assert not ContestedHour.objects.filter(measure="requests").exists()


def test_a_trusted_backfill_is_believed_at_once(prometheus: Server, fleet: Fleet, shop: Service) -> None:
    backfill(days=1)
    fleet.says("http_requests_total", steady("60", service="shop"))
    backfill(days=1, trust=True)
    assert {hour.total for hour in SliHour.objects.all()} == {60}
    store_partial(fleet, "20")
    backfill(days=1, trust=True)
    assert {hour.total for hour in SliHour.objects.all()} == {60}


def test_a_day_is_lowered_with_the_hours_that_turn_out_not_to_be_true(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    backfill(days=1)
    fleet.says("code=~", steady("500", service="shop"))
    backfill(days=1, trust=True)
    assert {(day.total, day.observed_seconds, day.is_implausible) for day in SliDay.objects.all()} == {
        (0, 0, True)
    }


def test_the_collection_asks_again_for_what_was_incomplete_until_it_is_whole(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    store_partial(fleet, "60")
    backfill(days=1)
    fleet.says("http_requests_total", steady("100", service="shop"))
    run = services.collect_hour(now=END + timedelta(hours=1, minutes=5))
    assert run is not None
    assert run.summary["hours_asked_again"] == 22, "the last two hours are read in any case"
    assert run.summary["hours_left_for_later"] == 0
    assert run.window_start == END - 2 * HOUR
    assert {(hour.total, hour.is_partial) for hour in SliHour.objects.all()} == {(100, False)}
    again = services.collect_hour(now=END + timedelta(hours=2, minutes=5))
    assert again is not None
    assert again.summary["hours_asked_again"] == 0


def test_the_collection_settles_what_is_contested(prometheus: Server, fleet: Fleet, shop: Service) -> None:
    backfill(days=1)
    fleet.says("http_requests_total", steady("60", service="shop"))
    with time_machine.travel(END, tick=False):
        backfill(days=1)
    with time_machine.travel(END + timedelta(hours=1, minutes=5), tick=False):
        services.collect_hour(now=END + timedelta(hours=1, minutes=5))
    assert {hour.total for hour in SliHour.objects.all()} == {60}


def test_what_is_too_old_is_not_asked_for_again(prometheus: Server, fleet: Fleet, shop: Service) -> None:
    store_partial(fleet, "60")
    backfill(days=1, end=END - services.CATCH_UP)
    fleet.says("http_requests_total", steady("100", service="shop"))
    backfill(days=1)
    run = services.collect_hour(now=END + timedelta(minutes=5))
    assert run is not None
    assert run.summary["hours_asked_again"] == 0


def test_a_gap_of_the_last_day_is_asked_for_again(prometheus: Server, fleet: Fleet, shop: Service) -> None:
    backfill(days=2)
    SliHour.objects.filter(bin_start__in=[END - 10 * HOUR, END - 30 * HOUR]).delete()
    services.collect_hour(now=END + timedelta(minutes=5))
    assert SliHour.objects.filter(bin_start=END - 10 * HOUR).exists()
    assert not SliHour.objects.filter(bin_start=END - 30 * HOUR).exists()


def test_a_source_that_goes_while_it_is_asked_again_leaves_the_hour_collected(
    prometheus: Server, fleet: Fleet, shop: Service
) -> None:
    store_partial(fleet, "60")
    backfill(days=1)
    oldest = int((END - timedelta(days=1)).timestamp())

    def forgetful(form: Form) -> Reply:
        if int(form["start"][0]) <= oldest + 3600:
            return error(422, "execution", "out of retention")
        return steady("100", service="shop")(form)

    fleet.says("http_requests_total", forgetful)
    run = services.collect_hour(now=END + timedelta(hours=1, minutes=5))
    assert run is not None
    assert run.state == TelemetryRun.State.COMPLETED
    assert any("could not be asked again" in warning for warning in run.warnings)
    assert SliHour.objects.get(bin_start=END).total == 100
