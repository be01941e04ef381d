"""A worker applies an ingestion: all or nothing, once, however often it is started and wherever it dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Team, User
from apps.catalog.ingesting import ingestion
from apps.catalog.ingesting.reporting import row_errors
from apps.catalog.models import Dependency, Ingestion, Service
from apps.core import instants
from apps.core.dispatcher import dispatch
from apps.core.models import AuditEntry
from apps.core.runs.holding import claim
from tests.catalog.conftest import acting, edge, edges, published
from tests.core.runs import Moving

type Send = Callable[..., Ingestion]


def send(user: User, *pairs: str, **said: Any) -> Ingestion:
    data = {"discovery_source": "manual", "dependencies": edges(*pairs), **said}
    answer = dispatch("catalog.ingest_dependencies", data, actor=acting(user)).value
    return Ingestion.objects.get(pk=answer["ingestion_id"])


def test_it_applies_what_was_sent(admin: User) -> None:
    sent = send(admin, "a>b", services=[{"service_id": "a", "team": "shop"}])
    with published() as events:
        assert ingestion.run(sent.pk) == "completed"
    sent.refresh_from_db()
    assert (sent.state, sent.rows_done, sent.rows_total, sent.attempts) == ("completed", 2, 2, 1)
    assert sent.summary["services"]["created"] == 1
    assert sent.summary["services"]["discovered"] == 1
    assert Dependency.objects.get().last_observed_at == sent.created_at
    assert [topic for topic, _ in events] == ["catalog.graph_changed", "catalog.ingestion_finished"]
    assert sent.parts.get().payload == {}


def test_its_end_is_in_the_audit_trail_with_the_name_of_who_asked(admin: User) -> None:
    sent = send(admin, "a>b")
    ingestion.run(sent.pk)
    entry = AuditEntry.objects.get(action="core.end_run")
    assert (entry.source, entry.object_type, entry.object_id) == ("task", "ingestion", str(sent.pk))
    assert entry.after is not None
    assert entry.after["asked_by"] == admin.username
    assert entry.after["dependencies"]["created"] == 1


def test_it_does_nothing_the_second_time(admin: User) -> None:
    sent = send(admin, "a>b")
    ingestion.run(sent.pk)
    with published() as events:
        assert ingestion.run(sent.pk) is None
    assert events == []
    assert AuditEntry.objects.filter(action="core.end_run").count() == 1


def test_parts_are_checked_together(admin: User) -> None:
    sent = send(admin, "a>b", parts=2)
    send(admin, "c>d", "a>b", "e>e", ingestion_id=str(sent.pk), part=2)
    assert ingestion.run(sent.pk) == "failed"
    sent.refresh_from_db()
    assert [(row["part"], row["row"], row["field"]) for row in sent.errors] == [
        (2, 3, "target"),
        (2, 2, "target"),
    ]
    assert sent.errors[1]["message"] == "a → b is already in row 1 of part 1"
    assert (sent.error_count, sent.rows_done) == (2, 0)
    assert not Service.objects.exists()


def test_parts_may_have_been_seen_at_different_times(admin: User) -> None:
    sent = send(admin, "a>b", parts=2, observed_at="2026-01-01T00:00:00Z")
    send(admin, "c>d", ingestion_id=str(sent.pk), part=2, observed_at="2026-01-02T00:00:00Z")
    ingestion.run(sent.pk)
    seen = Dependency.objects.order_by("source__service_id").values_list("last_observed_at", flat=True)
    assert [moment.day for moment in seen] == [1, 2]


def test_an_ingestion_without_rows_changes_nothing(admin: User) -> None:
    sent = send(admin)
    with published() as events:
        assert ingestion.run(sent.pk) == "completed"
    assert [topic for topic, _ in events] == ["catalog.ingestion_finished"]


class TestOwners:
    """A service owner speaks for the services of their teams, and no ingestion is a way around that."""

    @pytest.fixture(autouse=True)
    def _others(self, db: None) -> None:
        other = Team.objects.create(name="other")
        Service.objects.create(service_id="theirs", team=other)

    def errors(self, sent: Ingestion) -> list[tuple[str, str]]:
        ingestion.run(sent.pk)
        sent.refresh_from_db()
        return [(row["path"], row["message"]) for row in sent.errors]

    def test_they_declare_services_and_edges_of_their_own(self, owner: User) -> None:
        sent = send(owner, "mine>theirs", services=[{"service_id": "mine", "team": "payments"}])
        assert self.errors(sent) == []
        assert Service.objects.get(service_id="mine").team == owner.teams.get()

    def test_they_cannot_take_a_service_from_another_team(self, owner: User) -> None:
        sent = send(owner, services=[{"service_id": "theirs", "team": "payments"}])
        assert self.errors(sent) == [("services.0.service_id", "theirs belongs to team other")]
        assert Service.objects.get(service_id="theirs").team != owner.teams.get()

    def test_they_cannot_give_a_service_to_another_team(self, owner: User) -> None:
        sent = send(owner, services=[{"service_id": "new", "team": "other"}])
        assert [path for path, _ in self.errors(sent)] == ["services.0.team"]

    def test_they_cannot_say_what_another_teams_service_depends_on(self, owner: User) -> None:
        assert [path for path, _ in self.errors(send(owner, "theirs>x"))] == ["dependencies.0.source"]
        assert not Dependency.objects.exists()

    def test_they_take_on_a_service_that_was_only_discovered(self, owner: User) -> None:
        Service.objects.create(service_id="found", is_discovered=True)
        assert self.errors(send(owner, services=[{"service_id": "found", "team": "payments"}])) == []
        assert not Service.objects.get(service_id="found").is_discovered

    def test_who_lost_the_permission_meanwhile_changes_nothing(self, owner: User) -> None:
        sent = send(owner, services=[{"service_id": "mine", "team": "payments"}])
        User.objects.filter(pk=owner.pk).update(role=User.Role.VIEWER)
        assert [message for _, message in self.errors(sent)] == ["owner may no longer change the graph"]
        assert not Service.objects.filter(service_id="mine").exists()


class Killed(BaseException):
    """Stands for a process that ends here: nothing after it runs, and no ``except Exception`` sees it."""


@pytest.mark.parametrize(
    "where",
    [
        "apps.catalog.ingesting.ingestion.validate_graph",
        "apps.catalog.services._write_services",
        "apps.catalog.services._discover",
        "apps.catalog.services.merge_edges",
        "apps.catalog.services.refresh_cycles",
        "apps.catalog.ingesting.ingestion.end",
        "apps.core.runs.ending.ended",
        "apps.core.dispatcher._record",
    ],
)
def test_invariant_a_worker_killed_anywhere_leaves_nothing_half_done_and_the_next_finishes(
    admin: User, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    sent = send(admin, "a>b", "b>a", services=[{"service_id": "a", "team": "shop"}])

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, die)
        with pytest.raises(Killed):
            ingestion.run(sent.pk)
    sent.refresh_from_db()
    assert (sent.state, sent.attempts) == ("running", 1)
    assert not Service.objects.exists()
    assert not Team.objects.exists()
    assert ingestion.run(sent.pk) is None  # its lease has not run out
    with instants.clocks(database=lambda: timezone.now() + timedelta(minutes=1)):
        assert ingestion.run(sent.pk) == "completed"
    assert Dependency.objects.count() == 2
    assert AuditEntry.objects.filter(action="core.end_run").count() == 1


def test_an_error_is_kept_for_a_retry_until_there_were_too_many(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(admin, "a>b")
    clock = Moving()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr("apps.catalog.services.merge_edges", fail)
    with instants.clocks(database=clock):
        for _ in range(5):
            sent.refresh_from_db()
            assert sent.state == "pending"
            with pytest.raises(RuntimeError):
                ingestion.run(sent.pk)
            clock.move(minutes=10)
    sent.refresh_from_db()
    assert sent.state == "failed"
    assert row_errors(sent)[0]["message"].startswith("Tried 5 times. RuntimeError")
    assert not Service.objects.exists()


def test_an_ingestion_that_never_became_complete_is_abandoned(admin: User) -> None:
    sent = send(admin, "a>b", parts=2)
    assert ingestion.incomplete(sent.created_at + timedelta(days=6)) == []
    assert ingestion.incomplete(sent.created_at + timedelta(days=8)) == [sent.pk]
    from apps.catalog.tasks import abandon_incomplete

    Ingestion.objects.update(created_at=timezone.now() - timedelta(days=8))
    abandon_incomplete.fn()
    sent.refresh_from_db()
    assert sent.state == "cancelled"
    assert "seven days" in AuditEntry.objects.get(action="catalog.abandon_ingestion").rationale


def test_a_running_ingestion_says_how_far_it_is(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = send(admin, "a>b", services=[{"service_id": "a"}])
    seen = []

    def look(now: object) -> dict[str, int]:
        running = Ingestion.objects.get()
        seen.append((running.state, running.rows_done))
        return {}

    monkeypatch.setattr("apps.catalog.services.refresh_cycles", look)
    monkeypatch.setattr("apps.core.runs.holding.BEAT_SECONDS", 0)
    ingestion.run(sent.pk)
    assert seen == [("running", 2)]


@pytest.mark.parametrize("source", ["hub", "n0"])
def test_a_hub_is_taken_in_as_any_other_graph(admin: User, source: str) -> None:
    """Who calls everybody and whom everybody calls, once and again, and one more edge of it afterwards."""
    names = [f"n{number}" for number in range(300)]
    pairs = [f"hub>{name}" if source == "hub" else f"{name}>hub" for name in names]
    for created in (300, 0):
        sent = send(admin, *pairs)
        ingestion.run(sent.pk)
        sent.refresh_from_db()
        counts = sent.summary["dependencies"]
        assert counts == {"created": created, "updated": 0, "unchanged": 300 - created}
        assert sent.finished_at is not None
        assert sent.started_at is not None
        assert sent.finished_at > sent.started_at
    ingestion.run(send(admin, pairs[7], "hub>late").pk)
    assert Dependency.objects.count() == 301


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []

    def target() -> None:
        try:
            answers.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=target)
    thread.start()
    return thread, answers


@pytest.mark.django_db(transaction=True)
def test_invariant_two_workers_at_one_ingestion_apply_it_once() -> None:
    user = User.objects.create(username="sre", role=User.Role.SRE_ADMIN)
    sent = send(user, "a>b")
    holding = claim(sent.pk)  # what the first worker holds while it applies
    thread, answers = in_thread(lambda: ingestion.run(sent.pk))
    thread.join(timeout=30)
    assert answers == [None]
    assert holding is not None
    ingestion.apply(holding)
    assert Dependency.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_invariant_two_ingestions_at_once_end_as_if_one_came_after_the_other() -> None:
    user = User.objects.create(username="sre", role=User.Role.SRE_ADMIN)
    names = [f"s{number}" for number in range(60)]
    rows = [edge(one, other) for one, other in pairwise(names)]
    ids = []
    for source, order in (("manual", rows), ("kubernetes", rows[::-1])):
        data = {
            "discovery_source": source,
            "dependencies": order,
            "services": [{"service_id": n} for n in names],
        }
        ids.append(dispatch("catalog.ingest_dependencies", data, actor=acting(user)).value["ingestion_id"])
    running = [in_thread(lambda key=key: ingestion.run(key)) for key in ids]  # type: ignore[misc]
    for thread, _ in running:
        thread.join(timeout=60)
    assert [answers for _, answers in running] == [["completed"], ["completed"]]
    assert Service.objects.count() == len(names)
    assert Dependency.objects.count() == len(rows)
    assert set(Dependency.objects.values_list("confidence", flat=True)) == {0.92}
