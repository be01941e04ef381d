"""Services and calls that a source knows come into the catalog, as discovered, once however often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from apps.accounts.models import Team, User
from apps.catalog.models import Dependency, DependencySighting, Service
from apps.catalog.services import upsert_graph
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import InvalidInput, NotAllowed
from apps.core.models import AuditEntry, OutboxEvent
from apps.core.runs.executing import execute
from apps.core.runs.starting import RING
from apps.telemetry import services, sources, tasks
from apps.telemetry.clients.prometheus import discovery
from apps.telemetry.models import EdgeHour, SliHour, TelemetryRun
from apps.telemetry.runs import Reading
from apps.telemetry.sources import NoSource
from tests.telemetry.prometheus_server import Form, Reply, Server, error, matrix, success
from tests.telemetry.test_prometheus_source import Fleet

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
END = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACTOR = Actor.system("test", AuditEntry.Source.COMMAND)
CALLS = "traces_service_graph_request_total"


def rows(*found: tuple[dict[str, str], str]) -> Callable[[Form], Reply]:
    """These series, with their value in every bin that is asked for."""

    def answer(form: Form) -> Reply:
        first, last, step = (int(form[name][0]) for name in ("start", "end", "step"))
        return success(
            matrix(
                *((labels, [(at, value) for at in range(first, last + 1, step)]) for labels, value in found)
            )
        )

    return answer


def call(client: str, server: str, kind: str = "", value: str = "10") -> tuple[dict[str, str], str]:
    return {"client": client, "server": server} | ({"connection_type": kind} if kind else {}), value


@pytest.fixture(autouse=True)
def _it_is_shortly_after_the_end() -> Iterator[None]:
    with time_machine.travel(END + timedelta(minutes=5)):
        yield


@pytest.fixture
def shop(fleet: Fleet) -> Fleet:
    """Two services that report themselves, a job, a database, people, a queue between two."""
    fleet.says("code=~|status=~", success(matrix()))
    fleet.says(r'http_requests_total\{service=""', rows(({"job": "batch"}, "5")))
    fleet.says(
        r"sum by \(service\) \(+increase\(http_requests_total",
        rows(({"service": "shop"}, "100"), ({"service": "169.254.170.2_remote"}, "7"), ({}, "3")),
    )
    fleet.says(
        CALLS,
        rows(
            call("user", "shop"),
            call("shop", "169.254.170.2_remote"),
            call("shop", "orders-db", "database"),
            call("shop", "mailer", "messaging_system"),
            call("shop", "shop"),
        ),
    )
    return fleet


def discover(days: int = 1, end: datetime = END) -> TelemetryRun:
    run = services.request_run(
        TelemetryRun.Kind.DISCOVERY,
        source="prometheus",
        parameters=Reading(days=days),
        actor=ACTOR,
        window=(end - timedelta(days=days), end),
    )
    return services.execute_run(run.pk)


def names() -> set[str]:
    return set(Service.objects.values_list("service_id", flat=True))


def edges() -> set[tuple[str, str]]:
    return set(Dependency.objects.values_list("source__service_id", "target__service_id"))


def test_services_and_calls_come_into_the_catalog(prometheus: Server, shop: Fleet) -> None:
    run = discover()
    assert names() == {"shop", "169.254.170.2_remote", "batch", "orders-db", "mailer"}
    assert edges() == {
        ("shop", "169.254.170.2_remote"),
        ("shop", "orders-db"),
        ("shop", "mailer"),
    }
    assert all(service.is_discovered and service.team is None for service in Service.objects.all())
    assert set(DependencySighting.objects.values_list("discovery_source", flat=True)) == {
        "otel_service_graph"
    }
    assert not Dependency.objects.filter(is_declared=True).exists()
    assert run.summary["services"] == run.summary["new_services"] == 5
    assert run.summary["edges"] == run.summary["new_edges"] == 3


def test_what_goes_through_a_queue_is_asynchronous(prometheus: Server, shop: Fleet) -> None:
    discover()
    assert Dependency.objects.get(target__service_id="mailer").mode == "async"
    assert Dependency.objects.get(target__service_id="orders-db").mode == "sync"


def test_an_edge_with_both_kinds_of_calls_is_synchronous(prometheus: Server, fleet: Fleet) -> None:
    fleet.says(CALLS, rows(call("shop", "mailer", "messaging_system"), call("shop", "mailer")))
    discover()
    assert Dependency.objects.get().mode == "sync"


def test_the_caller_that_stands_for_people_is_no_service(prometheus: Server, shop: Fleet) -> None:
    assert discover().summary["called_from_outside"] == 1
    assert "user" not in names()


def test_a_service_that_is_really_called_user_is_one(prometheus: Server, fleet: Fleet) -> None:
    fleet.says(
        r"sum by \(service\) \(+increase\(http_requests_total",
        rows(({"service": "user"}, "1"), ({"service": "shop"}, "1")),
    )
    fleet.says(
        CALLS,
        rows(
            call("user", "shop", "virtual_node"),
            call("user", "users-db", "database"),
            call("user", "mail.example", "virtual_node"),
        ),
    )
    assert discover().summary["called_from_outside"] == 1
    assert edges() == {("user", "users-db"), ("user", "mail.example")}


def test_series_that_name_a_service_are_not_one_more_under_their_job(prometheus: Server, shop: Fleet) -> None:
    discover()
    assert any('http_requests_total{service=""}' in query for query in prometheus.queries())
    assert all('{service=""' in query for query in prometheus.queries() if "by (job)" in query)


def test_calls_that_were_never_made_are_no_edge(prometheus: Server, fleet: Fleet) -> None:
    fleet.says(CALLS, rows(call("shop", "db", value="0"), call("shop", "cache", value="NaN")))
    discover()
    assert names() == set()


def test_no_label_but_the_configured_ones_is_stored(prometheus: Server, fleet: Fleet) -> None:
    fleet.says("by \\(service\\)", rows(({"service": "shop", "customer": "jane@example.com"}, "1")))
    run = discover()
    stored = [
        *Service.objects.values(),
        *TelemetryRun.objects.values(),
        *AuditEntry.objects.values(),
        *OutboxEvent.objects.values(),
    ]
    assert run.summary["services"] == 1
    assert "jane" not in repr(stored)


def test_doing_it_twice_changes_nothing(prometheus: Server, shop: Fleet) -> None:
    def state() -> list[object]:
        tables = (Service, Dependency, DependencySighting)
        return [sorted(table.objects.values_list(), key=repr) for table in tables]

    discover()
    before, told = state(), OutboxEvent.objects.filter(topic="catalog.graph_changed").count()
    run = discover()
    assert state() == before
    assert run.summary["new_services"] == run.summary["new_edges"] == 0
    assert OutboxEvent.objects.filter(topic="catalog.graph_changed").count() == told == 1


def test_what_was_declared_is_not_overridden(prometheus: Server, shop: Fleet) -> None:
    upsert_graph(
        [{"service_id": "shop", "team": "web", "criticality": "critical"}],
        [{"source": "shop", "target": "mailer", "mode": "sync", "criticality": "soft"}],
        discovery_source="manual",
        observed_at=END,
    )
    discover()
    declared = Service.objects.get(service_id="shop")
    assert (declared.is_discovered, declared.team, declared.criticality) == (
        False,
        Team.objects.get(name="web"),
        "critical",
    )
    edge = Dependency.objects.get(target__service_id="mailer")
    assert (edge.mode, edge.criticality, edge.is_declared) == ("sync", "soft", True)
    assert edge.sightings.count() == 2


def test_names_of_the_demo_are_left_to_the_demo(prometheus: Server, shop: Fleet) -> None:
    Service.objects.create(service_id="shop", origin="demo")
    run = discover()
    assert edges() == set()
    assert "demo" in run.warnings[0]
    assert Service.objects.get(service_id="shop").origin == "demo"


def test_names_that_cannot_be_service_ids_are_left_out_and_counted(prometheus: Server, fleet: Fleet) -> None:
    fleet.says(
        "by \\(service\\)",
        rows(({"service": "a\nb"}, "1"), ({"service": " x"}, "1"), ({"service": "y" * 300}, "1")),
    )
    fleet.says(CALLS, rows(call("shop", "a\nb")))
    run = discover()
    assert run.warnings[0].startswith("3 names cannot be service ids")
    assert names() == {"shop"}


def test_beyond_the_bound_the_busiest_are_taken_and_the_rest_is_counted(
    prometheus: Server, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "MAX_SERVICES", 2)
    fleet.says(
        "by \\(service\\)",
        rows(({"service": "a"}, "1"), ({"service": "b"}, "9"), ({"service": "c"}, "5")),
    )
    fleet.says(CALLS, rows(call("b", "c"), call("b", "a"), call("b", "db")))
    run = discover()
    assert names() == {"b", "c"}
    assert edges() == {("b", "c")}
    assert run.warnings[0].startswith("4 services were found; only the 2 with the most requests")
    assert run.warnings[1].startswith("2 calls between services were left out")


def test_an_edge_is_as_old_as_its_last_call(prometheus: Server, fleet: Fleet) -> None:
    silent_since = END - 9 * DAY

    def only_long_ago(form: Form) -> Reply:
        seen = int(form["end"][0]) <= silent_since.timestamp()
        return rows(call("shop", "old"))(form) if seen else success(matrix())

    fleet.says(CALLS, only_long_ago)
    discover(days=14)
    edge = Dependency.objects.get()
    assert (edge.last_observed_at, edge.is_stale) == (silent_since, True)


def test_a_source_that_cannot_do_a_day_is_asked_by_the_hour(prometheus: Server, fleet: Fleet) -> None:
    def patient(form: Form) -> Reply:
        if "86400s" in form["query"][0]:
            return error(422, "execution", "query processing would load too many samples into memory")
        return rows(call("shop", "db"))(form)

    fleet.says(CALLS, patient)
    discover(days=2)
    assert edges() == {("shop", "db")}
    asked = [query for query in prometheus.queries() if CALLS in query]
    assert len([query for query in asked if "86400s" in query]) == 1
    assert len([query for query in asked if "[3600s1ms]" in query]) == 48


def test_a_source_that_refuses_fails_the_run_and_changes_nothing(prometheus: Server, shop: Fleet) -> None:
    shop.replies[CALLS] = error(400, "bad_data", "unknown function")
    execute(str(services.request_run(
        TelemetryRun.Kind.DISCOVERY, source="prometheus", parameters=Reading(), actor=ACTOR, window=(END - DAY, END)
    ).pk))  # fmt: skip
    run = TelemetryRun.objects.get()
    assert run.state == TelemetryRun.State.FAILED
    assert "unknown function" in run.errors[0]["reason"]
    assert names() == set()


def test_a_discovery_is_no_reading_of_hours(prometheus: Server, shop: Fleet) -> None:
    discover()
    assert not OutboxEvent.objects.filter(topic="telemetry.stored").exists()
    collected = services.collect_hour(now=END + 5 * HOUR + timedelta(minutes=5))
    assert collected is not None
    assert collected.window_start == END + 3 * HOUR


# The action


def person(role: str) -> Actor:
    user, _ = User.objects.get_or_create(username=role, defaults={"role": role})
    return Actor.person(user, AuditEntry.Source.WEB)


@pytest.mark.parametrize("role", ["service_owner", "auditor", "viewer"])
def test_it_rejects_everybody_but_an_admin(role: str, prometheus: Server) -> None:
    for way in (dispatch, preview):
        with pytest.raises(NotAllowed, match="SRE admin"):
            way("telemetry.discover", {}, actor=person(role))
    assert not TelemetryRun.objects.exists()
    assert prometheus.asked == []


def test_it_is_recorded_audited_and_handed_to_a_worker(prometheus: Server, shop: Fleet) -> None:
    result = dispatch("telemetry.discover", {"days": 3}, actor=person("sre_admin"))
    run = TelemetryRun.objects.get(pk=result.value["run"])
    assert (run.what, run.state, run.window_start) == ("discovery", "pending", END - 3 * DAY)
    assert AuditEntry.objects.get(action="telemetry.discover").object_id == str(run.pk)
    assert OutboxEvent.objects.get(topic=RING).payload == {"run": str(run.pk)}
    assert names() == set()
    execute(str(run.pk))
    assert "shop" in names()


def test_its_preview_says_what_is_new_and_leaves_no_trace(prometheus: Server, shop: Fleet) -> None:
    Service.objects.create(service_id="shop")
    shown = preview("telemetry.discover", {"days": 1}, actor=person("sre_admin"))
    assert "5 services and 3 calls" in shown.summary
    assert [(touch.label, touch.count) for touch in shown.touches] == [
        ("new services", 4),
        ("new dependencies", 3),
    ]
    assert "shop → orders-db" in shown.touches[1].names
    assert names() == {"shop"}
    assert not TelemetryRun.objects.exists()
    assert not AuditEntry.objects.exists()


def test_its_preview_survives_a_source_that_is_down(prometheus: Server) -> None:
    prometheus.answering = lambda path, form: Reply(body=b"", status=401)
    shown = preview("telemetry.discover", {}, actor=person("sre_admin"))
    assert "PROMETHEUS_TOKEN" in shown.warnings[0]


def test_an_impatient_look_reaches_back_as_far_as_there_is_time(prometheus: Server, shop: Fleet) -> None:
    source = sources.prometheus_source()
    try:
        found = source.discover(int((END - 7 * DAY).timestamp()), int(END.timestamp()), max_seconds=0)
    finally:
        source.close()
    assert (found.start, found.end) == (int((END - DAY).timestamp()), int(END.timestamp()))
    assert "shop" in found.services


@pytest.mark.parametrize("days", [0, -1, 32, "many"])
def test_no_or_too_many_days_are_refused(days: object, prometheus: Server) -> None:
    with pytest.raises(InvalidInput):
        dispatch("telemetry.discover", {"days": days}, actor=person("sre_admin"))


def test_without_a_source_it_is_refused(settings: Settings) -> None:
    settings.PROMETHEUS_URL = ""
    with pytest.raises(NoSource, match="PROMETHEUS_URL"):
        dispatch("telemetry.discover", {}, actor=person("sre_admin"))


# The commands


def command(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_says_what_is_new(prometheus: Server, shop: Fleet) -> None:
    out, err = command("telemetry", "discover", "--days", "1")
    assert out.startswith("5 services (5 new) and 3 calls between services (3 new) were seen from ")
    assert "\n  orders-db\n" in out
    assert err == ""
    out, _ = command("telemetry", "discover", "--days", "1")
    assert out.startswith("5 services (0 new) and 3 calls between services (0 new)")


def test_the_command_says_what_to_do_where_nothing_is_found(prometheus: Server) -> None:
    out, _ = command("telemetry", "discover")
    assert "No metric family has data" in out


def test_the_command_fails_without_a_source(settings: Settings) -> None:
    settings.PROMETHEUS_URL = ""
    with pytest.raises(CommandError, match="PROMETHEUS_URL"):
        command("telemetry", "discover")


def test_a_backfill_of_an_empty_catalog_discovers_first_and_says_so(prometheus: Server, shop: Fleet) -> None:
    Service.objects.create(service_id="demo-shop", origin="demo")
    out, err = command("backfill", "--days", "1")
    assert out.startswith("2 of 5 services have data")
    assert "Looking for services in the telemetry source first" in err
    assert "5 services (5 new)" in err
    assert SliHour.objects.count() == 48
    assert EdgeHour.objects.count() == 3 * 24


def test_a_backfill_looks_again_while_nobody_has_declared_anything(prometheus: Server, shop: Fleet) -> None:
    command("backfill", "--days", "1")
    shop.replies[CALLS] = rows(call("shop", "new-one"))
    command("backfill", "--days", "1")
    assert "new-one" in names()


def test_a_backfill_can_be_told_not_to_discover(prometheus: Server, shop: Fleet) -> None:
    out, err = command("backfill", "--days", "1", "--no-discover")
    assert out.startswith("0 of 0 services")
    assert err == ""
    assert names() == set()


def test_a_backfill_of_declared_services_discovers_only_when_told_to(prometheus: Server, shop: Fleet) -> None:
    Service.objects.create(service_id="shop")
    _, err = command("backfill", "--days", "1")
    assert (names(), err) == ({"shop"}, "")
    _, err = command("backfill", "--days", "1", "--discover")
    assert "5 services (4 new)" in err
    assert "orders-db" in names()


# Once a day


@pytest.fixture
def _own_config(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("config") / "ballast.toml"
    path.write_text("[telemetry]\ndiscover_daily = false\n")
    settings.CONFIG_FILE = path
    yield
    sources.telemetry_config.cache_clear()


def test_once_a_day_what_is_new_is_taken_in_and_its_day_is_read(prometheus: Server, shop: Fleet) -> None:
    Service.objects.create(service_id="shop")
    run = services.discover_day(now=END + timedelta(minutes=5))
    assert run is not None
    assert (run.window_start, run.window_end) == (END - DAY, END)
    assert "orders-db" in names()
    reading = TelemetryRun.objects.get(kind=TelemetryRun.Kind.BACKFILL)
    assert reading.parameters["services"] == ["169.254.170.2_remote", "batch", "mailer", "orders-db"]
    services.discover_day(now=END + timedelta(minutes=5))
    assert TelemetryRun.objects.filter(kind=TelemetryRun.Kind.BACKFILL).count() == 1


@pytest.mark.usefixtures("_own_config")
def test_the_daily_search_can_be_switched_off(prometheus: Server) -> None:
    assert services.discover_day() is None
    assert prometheus.asked == []


def test_without_a_source_nothing_is_searched(settings: Settings) -> None:
    settings.PROMETHEUS_URL = ""
    tasks.discover_day.fn()
    assert not TelemetryRun.objects.exists()


def test_a_daily_search_that_fails_waits_for_the_next_day(prometheus: Server) -> None:
    prometheus.answering = lambda path, form: Reply(body=b"", status=401)
    tasks.discover_day.fn()
    assert TelemetryRun.objects.get().state == TelemetryRun.State.FAILED
