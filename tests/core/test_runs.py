"""The lifecycle of long work: accepted once, held by one, ended once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core import actions, instants
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, NotAllowed, Unavailable
from apps.core.models import AuditEntry, OutboxEvent, Run
from apps.core.runs import ending, starting
from apps.core.runs.ending import ENDED
from apps.core.runs.executing import Failed, execute
from apps.core.runs.holding import Cancelled, LeaseLost, Paused, claim
from apps.core.runs.keeping import Keeper
from apps.core.runs.kinds import Done, Kind
from apps.core.runs.starting import RING
from tests.core import runs
from tests.core.conftest import person
from tests.core.runs import KIND, Moving, Words, clock, kind, start
from tests.house.waiting import until

__all__ = ["clock", "kind"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kind")]


def fresh(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def ends() -> list[tuple[str, Any]]:
    """The audited ends, oldest first: the action, and the state that it left."""
    entries = AuditEntry.objects.filter(after__state__in=Run.ENDED).order_by("created_at", "id")
    return [(entry.action, (entry.after or {})["state"]) for entry in entries]


def waiting_for_locks() -> int:
    """How many sessions wait for a lock of this test's database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


class TestStarting:
    def test_it_asks_for_a_bell_with_the_commit(self) -> None:
        run = start("a")
        assert fresh(run).state == Run.State.PENDING
        assert OutboxEvent.objects.get(topic=RING).payload == {"run": str(run.pk)}

    @pytest.mark.django_db(transaction=True)
    def test_it_needs_a_transaction(self) -> None:
        with pytest.raises(RuntimeError, match="needs the transaction"):
            starting.start(KIND.name, Words(), actor=runs.ACTOR)

    def test_a_request_with_the_same_key_joins_the_one_that_waits(self) -> None:
        first, second = start("a", key="k"), start("b", key="k")
        assert first.pk == second.pk
        assert fresh(first).parameters == {"words": ["a", "b"]}
        assert OutboxEvent.objects.filter(topic=RING).count() == 1

    def test_a_request_that_comes_while_it_runs_follows_it(self) -> None:
        first = start("a", key="k")
        holding = claim(first.pk)
        second = start("b", key="k")
        third = start("c", key="k")
        assert holding is not None
        assert (second.pk, fresh(second).parameters) == (third.pk, {"words": ["b", "c"]})
        assert claim(second.pk) is None  # one of a key at a time
        ending.end(holding, "completed")
        assert {"run": str(second.pk)} in OutboxEvent.objects.filter(topic=RING).values_list(
            "payload", flat=True
        )
        assert claim(second.pk) is not None

    @pytest.mark.django_db(transaction=True)
    def test_of_two_requests_with_one_key_at_once_the_second_joins_the_first(self) -> None:
        made: list[Run] = []

        def ask() -> None:
            try:
                made.append(start("b", key="k"))
            finally:
                connection.close()

        other = threading.Thread(target=ask)
        with transaction.atomic():
            made.append(start("a", key="k"))
            other.start()
            until(lambda: waiting_for_locks() or not other.is_alive(), "the other waits or has gone on")
        other.join(timeout=30)
        assert [run.pk for run in made] == [made[0].pk] * 2
        assert fresh(made[0]).parameters == {"words": ["a", "b"]}

    def test_others_keys_and_no_key_stand_beside_it(self) -> None:
        assert len({start(key="k").pk, start(key="l").pk, start().pk, start().pk}) == 4

    def test_one_that_is_prepared_is_not_begun_before_it_is_ready(self) -> None:
        with transaction.atomic():
            run = starting.start(KIND.name, Words(), actor=runs.ACTOR, is_preparing=True)
        assert (claim(run.pk), OutboxEvent.objects.filter(topic=RING).count()) == (None, 0)
        with transaction.atomic():
            starting.make_ready(ending.locked(run.pk))
        assert claim(run.pk) is not None


class TestExecuting:
    def test_it_does_the_work_once_and_records_its_end(self) -> None:
        run = start("a")
        done = execute(run.pk)
        assert execute(run.pk) is None
        assert done is not None
        assert (done.state, done.summary, done.attempts) == ("completed", {"words": ["a"]}, 1)
        assert runs.work.seen == [["a"]]
        assert ends() == []
        assert OutboxEvent.objects.get(topic=ENDED).payload == {
            "run": str(run.pk),
            "kind": KIND.name,
            "state": "completed",
        }

    def test_the_audit_names_the_system_and_who_asked(self) -> None:
        execute(start(actor=person("olga", "sre_admin")).pk)
        entry = AuditEntry.objects.get(action="core.end_run")
        assert (entry.actor_name, (entry.after or {})["asked_by"]) == ("system: runs", "olga")

    @pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "given_up"])
    @pytest.mark.parametrize("asked", ["system", "person", "both"])
    def test_the_audit_leaves_out_only_what_the_system_completed(self, state: Any, asked: str) -> None:
        run = start(key="k", actor=person("olga", "sre_admin") if asked == "person" else runs.ACTOR)
        if asked == "both":
            assert start(key="k", actor=person("olga", "sre_admin")).pk == run.pk
        holding = claim(run.pk)
        assert holding is not None
        ending.end(holding, state)
        is_left_out = asked == "system" and state == "completed"
        assert ends() == ([] if is_left_out else [("core.end_run", state)])
        assert OutboxEvent.objects.filter(topic=ENDED).count() == 1

    def test_a_refusal_fails_it_at_once_with_all_that_is_wrong(self) -> None:
        def refuse(holding: Any) -> None:
            raise Failed("two rows are wrong", errors=[{"row": 1}, {"row": 2}], error_count=7)

        runs.work.does = refuse
        done = execute(start().pk)
        assert done is not None
        assert (done.state, done.summary) == ("failed", {"failure": "two rows are wrong"})
        assert (done.errors, done.error_count) == ([{"row": 1}, {"row": 2}], 7)

    def test_an_error_that_has_words_fails_it_with_them(self) -> None:
        def refuse(holding: Any) -> None:
            raise Unavailable("the source is away")

        runs.work.does = refuse
        done = execute(start().pk)
        assert done is not None
        assert (done.state, done.errors) == ("failed", [{"reason": "the source is away"}])

    def test_an_error_that_nobody_foresaw_is_tried_again_later(self, clock: Moving) -> None:
        def break_down(holding: Any) -> None:
            raise ZeroDivisionError

        runs.work.does = break_down
        run = start()
        for attempt in range(1, KIND.max_attempts + 1):
            assert fresh(run).state == Run.State.PENDING
            assert execute(run.pk) is not None
            assert execute(run.pk) is None  # not at once
            assert fresh(run).attempts == attempt
            clock.move(minutes=10)
        found = fresh(run)
        assert (found.state, found.attempts) == ("failed", 3)
        assert "ZeroDivisionError" in found.errors[0]["reason"]
        assert ends() == [("core.end_run", "failed")]

    def test_work_may_end_itself_with_its_effect(self) -> None:
        def end_itself(holding: Any) -> None:
            with transaction.atomic():
                ending.end(holding, "completed", done=Done({"by": "itself"}))

        runs.work.does = end_itself
        done = execute(start(actor=person("olga", "sre_admin")).pk)
        assert done is not None
        assert (done.summary, len(ends())) == ({"by": "itself"}, 1)

    def test_progress_is_written_with_the_lease(self) -> None:
        def go_on(holding: Any) -> None:
            holding.progress(3, 8)
            holding.beat()

        runs.work.does = go_on
        run = start()
        seen: list[tuple[int, int]] = []
        execute(run.pk, observe=lambda done, total: seen.append((done, total)))
        found = fresh(run)
        assert (found.progress_done, found.progress_total, seen) == (8, 8, [(3, 8)])


class TestHolding:
    def test_a_second_claim_finds_it_taken_until_the_lease_runs_out(self, clock: Moving) -> None:
        run = start()
        first = claim(run.pk)
        clock.move(seconds=9)
        assert first is not None
        assert claim(run.pk) is None
        first.beat()
        clock.move(seconds=9)
        assert claim(run.pk) is None
        clock.move(seconds=2)
        second = claim(run.pk)
        assert second is not None
        assert second.token > first.token

    def test_who_lost_the_lease_can_change_nothing(self, clock: Moving) -> None:
        run = start()
        late = claim(run.pk)
        clock.move(seconds=11)
        holder = claim(run.pk)
        assert late is not None
        assert holder is not None
        late.beat()
        with pytest.raises(LeaseLost):
            late.checkpoint()
        with pytest.raises(LeaseLost):
            ending.end(late, "completed")
        with pytest.raises(LeaseLost), late.fenced():
            AuditEntry.objects.create(action="tests.effect", actor_name="system: late", source="task")
        with pytest.raises(LeaseLost):
            late.remember(1, {"at": 1})
        for leave in (ending.release, ending.postpone, ending.rest):
            leave(late)
        assert not AuditEntry.objects.filter(action="tests.effect").exists()
        assert fresh(run).state == Run.State.RUNNING
        with holder.fenced():
            AuditEntry.objects.create(action="tests.effect", actor_name="system: holder", source="task")
        ending.end(holder, "completed")
        assert AuditEntry.objects.filter(action="tests.effect").count() == 1

    def test_a_lease_of_a_clock_that_was_set_back_does_not_last(self, clock: Moving) -> None:
        run = start()
        clock.move(hours=2)
        claim(run.pk)
        clock.move(hours=-2)
        assert claim(run.pk) is not None

    def test_one_that_kills_its_workers_is_given_up(self, clock: Moving) -> None:
        run = start()
        for _ in range(KIND.max_attempts):
            assert claim(run.pk) is not None
            assert not ending.settle(run.pk)
            clock.move(seconds=11)
        assert execute(run.pk) is None
        found = fresh(run)
        assert (found.state, found.attempts) == ("given_up", 3)
        assert ends() == [("core.end_run", "given_up")]
        assert runs.work.seen == []

    def test_a_stop_of_its_worker_counts_no_attempt(self) -> None:
        run = start()
        holding = claim(run.pk)
        assert holding is not None
        ending.release(holding)
        assert (fresh(run).state, fresh(run).attempts) == ("pending", 0)
        assert claim(run.pk) is not None

    def test_what_it_remembers_is_there_for_the_next(self, clock: Moving) -> None:
        run = start()
        holding = claim(run.pk)
        assert holding is not None
        holding.remember(3, {"at": 3})
        clock.move(seconds=11)
        taken = claim(run.pk)
        assert taken is not None
        assert taken.run.position == {"at": 3, "furthest": 3}

    def test_the_database_refuses_two_running_of_one_key(self) -> None:
        first = start(key="k")
        claim(first.pk)
        second = start(key="k")
        now = instants.now() + timedelta(seconds=10)
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=second.pk).update(state="running", takes_more=False, lease_until=now)

    def test_one_that_is_held_cannot_be_ended_as_abandoned(self, clock: Moving) -> None:
        """Whoever settles it may have looked just before its holder renewed the lease."""
        holding = claim(start().pk)
        assert holding is not None
        data = {"run_id": holding.run.pk, "token": holding.token, "state": "given_up", "is_abandoned": True}
        with pytest.raises(Conflict, match="A worker holds"):
            dispatch("core.end_run", data, actor=runs.ACTOR)
        clock.move(seconds=11)
        dispatch("core.end_run", data, actor=runs.ACTOR)
        assert fresh(holding.run).state == "given_up"

    @pytest.mark.parametrize("leave", [ending.rest, ending.release, ending.postpone])
    def test_whoever_has_laid_it_down_cannot_end_it(self, leave: Any) -> None:
        holding = claim(start().pk)
        assert holding is not None
        leave(holding)
        before = fresh(holding.run).state
        with pytest.raises(LeaseLost):
            ending.end(holding, "completed")
        assert fresh(holding.run).state == before

    @pytest.mark.django_db(transaction=True)
    def test_a_claim_does_not_wait_without_end_for_whoever_changes_the_run(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("apps.core.runs.holding.LOCK_TIMEOUT", "50ms")
        run = start()
        claimed: list[Any] = []

        def ask() -> None:
            try:
                claimed.append(claim(run.pk))
            finally:
                connection.close()

        other = threading.Thread(target=ask)
        with transaction.atomic():
            ending.locked(run.pk)
            other.start()
            other.join(timeout=5)
        other.join(timeout=30)
        assert claimed == [None]
        assert fresh(run).state == Run.State.PENDING


class TestLevers:
    def pull(self, lever: str, run: Run, role: str = "sre_admin", name: str = "olga") -> Any:
        from apps.accounts.models import User
        from apps.core.actions import Actor

        user = User.objects.filter(username=name).first()
        actor = Actor.person(user, AuditEntry.Source.WEB) if user else person(name, role)
        return dispatch(f"core.{lever}_run", {"run_id": str(run.pk)}, actor=actor).value

    def test_cancelling_one_that_waits_ends_it(self) -> None:
        run = start()
        assert self.pull("cancel", run)["state"] == "cancelled"
        assert execute(run.pk) is None
        assert (ends(), runs.work.seen) == ([("core.cancel_run", "cancelled")], [])

    @pytest.mark.parametrize(("lever", "error"), [("cancel", Cancelled), ("pause", Paused)])
    def test_a_running_one_hears_of_it_at_its_next_beat(self, lever: str, error: type[Exception]) -> None:
        holding = claim(start().pk)
        assert holding is not None
        self.pull(lever, holding.run)
        assert AuditEntry.objects.get(action=f"core.{lever}_run").after == {"asked_to": lever}
        holding.checkpoint()
        holding.beat()
        with pytest.raises(error):
            holding.checkpoint()

    def test_a_running_one_ends_cancelled_once(self) -> None:
        def go_on(holding: Any) -> None:
            self.pull("cancel", holding.run)
            holding.beat()
            holding.progress(1, 2)

        runs.work.does = go_on
        done = execute(start().pk)
        assert done is not None
        assert done.state == "cancelled"
        assert ends() == [("core.end_run", "cancelled")]
        assert (AuditEntry.objects.get(action="core.end_run").after or {})["cancelled_by"] == "olga"

    def test_it_is_told_whether_it_is_paused_or_will_be(self) -> None:
        pause = actions.get("core.pause_run")
        waits, held = start(), start()
        claim(held.pk)
        assert pause.done(self.pull("pause", waits)) == "Paused."
        assert pause.done(self.pull("pause", held)) == "It pauses within seconds."

    def test_a_paused_one_waits_until_it_is_resumed(self) -> None:
        def go_on(holding: Any) -> Done | None:
            if holding.token == 1:
                holding.remember(5, {"at": 5})
                self.pull("pause", holding.run)
                holding.beat()
                holding.progress(5, 10)
            return Done({"from": holding.run.position["at"]})

        runs.work.does = go_on
        run = start()
        paused = execute(run.pk)
        assert paused is not None
        assert paused.state == "paused"
        assert execute(run.pk) is None
        self.pull("resume", run)
        done = execute(run.pk)
        assert done is not None
        assert (done.state, done.summary) == ("completed", {"from": 5})

    def test_one_whose_holder_died_is_cancelled_by_whoever_looks(self, clock: Moving) -> None:
        run = start()
        claim(run.pk)
        self.pull("cancel", run)
        assert not ending.settle(run.pk)
        clock.move(seconds=11)
        assert ending.settle(run.pk)
        assert fresh(run).state == "cancelled"

    @pytest.mark.parametrize("leave", [ending.rest, ending.postpone])
    def test_a_cancel_that_comes_before_it_is_laid_down_ends_it_at_once(self, leave: Any) -> None:
        holding = claim(start().pk)
        assert holding is not None
        self.pull("pause", holding.run)
        self.pull("cancel", holding.run)
        leave(holding)
        assert fresh(holding.run).state == "cancelled"
        assert len(ends()) == 1

    def test_a_pause_does_not_undo_a_cancel_whose_holder_died(self, clock: Moving) -> None:
        run = start()
        claim(run.pk)
        self.pull("cancel", run)
        clock.move(seconds=11)
        with pytest.raises(Conflict, match="olga has already asked to cancel it"):
            self.pull("pause", run)
        assert ending.settle(run.pk)
        assert fresh(run).state == "cancelled"

    @pytest.mark.parametrize("how", ["rest", "postpone", "settle", "pause"])
    def test_one_that_is_laid_down_wakes_the_next_of_its_key(self, clock: Moving, how: str) -> None:
        holding = claim(start(key="k").pk)
        follower = start(key="k")
        assert holding is not None
        OutboxEvent.objects.all().delete()
        if how in ("rest", "postpone"):
            getattr(ending, how)(holding)
        elif how == "settle":
            self.pull("pause", holding.run)
            clock.move(seconds=11)
            assert ending.settle(holding.run.pk)
        else:
            clock.move(seconds=11)
            self.pull("pause", holding.run)
        rung = OutboxEvent.objects.filter(topic=RING).values_list("payload", flat=True)
        assert list(rung) == [{"run": str(follower.pk)}]
        assert claim(follower.pk) is not None

    def test_cancelling_one_whose_holder_sleeps_takes_it_from_him(self, clock: Moving) -> None:
        holding = claim(start().pk)
        assert holding is not None
        clock.move(seconds=11)
        self.pull("cancel", holding.run)
        with pytest.raises(LeaseLost):
            ending.end(holding, "completed")

    def test_beginning_again_makes_a_run_of_its_own(self) -> None:
        run = start("a")
        self.pull("cancel", run)
        again = Run.objects.get(pk=self.pull("retry", run)["run"])
        assert (again.retry_of_id, again.parameters, again.requested_by_name) == (
            run.pk,
            run.parameters,
            "olga",
        )

    @pytest.mark.parametrize(
        ("lever", "state"),
        [("cancel", "completed"), ("pause", "completed"), ("resume", "pending"), ("retry", "completed"),
         ("retry", "running"), ("resume", "running"), ("pause", "paused")],
    )  # fmt: skip
    def test_a_lever_that_does_not_fit_says_so(self, lever: str, state: str) -> None:
        run = start()
        if state in ("completed",):
            execute(run.pk)
        elif state == "running":
            claim(run.pk)
        elif state == "paused":
            self.pull("pause", run)
        with pytest.raises(Conflict, match=f"^(This is {state}|Work for a test )"):
            self.pull(lever, run)

    @pytest.mark.parametrize("lever", ["cancel", "pause", "resume", "retry"])
    @pytest.mark.parametrize("role", ["viewer", "auditor"])
    def test_others_may_not(self, lever: str, role: str) -> None:
        with pytest.raises(NotAllowed):
            self.pull(lever, start(), role=role)

    def test_a_kind_may_ask_for_more_than_the_role(self) -> None:
        with runs.known(permission="telemetry.collect"), pytest.raises(NotAllowed):
            self.pull("cancel", start(), role="service_owner")

    def test_a_kind_may_keep_its_runs_to_who_asked(self) -> None:
        with runs.known(only_theirs=True):
            run = start(actor=person("sam", "service_owner"))
            with pytest.raises(NotAllowed, match="Only sam"):
                self.pull("cancel", run, role="service_owner", name="tom")
            assert self.pull("cancel", run, name="sam")["state"] == "cancelled"

    def test_nobody_ends_a_run_by_hand(self) -> None:
        run = start()
        with pytest.raises(NotAllowed):
            dispatch(
                "core.end_run",
                {"run_id": str(run.pk), "token": 0, "state": "completed"},
                actor=person("olga", "sre_admin"),
            )

    def test_what_cannot_stop_is_not_asked_to(self, kind: Kind) -> None:
        with runs.known(can_stop=False):
            run = start()
            claim(run.pk)
            with pytest.raises(Conflict, match="cannot be stopped"):
                self.pull("cancel", run)


class TestKeeping:
    @pytest.mark.django_db(transaction=True)
    def test_the_lease_of_work_that_says_nothing_is_renewed_while_its_process_lives(
        self, clock: Moving
    ) -> None:
        run = start()
        holding = claim(run.pk)
        assert holding is not None
        keeper = Keeper()
        try:
            with keeper.keeping(holding):
                for _ in range(2):
                    clock.move(seconds=8)
                    until(lambda: fresh(run).lease_until == clock.at + KIND.lease, "the lease is renewed")
                assert claim(run.pk) is None
            with keeper._lock:
                pass  # what it had begun for this run is done
        finally:
            keeper.close()
        clock.move(seconds=11)
        assert claim(run.pk) is not None


def test_attempts_begin_anew_only_where_work_got_further_than_ever(kind: Kind, clock: Moving) -> None:
    run = start()

    def attempt(*kept: int) -> int:
        holding = claim(run.pk)
        assert holding is not None
        for done in kept:
            holding.remember(done, {"at": done})
        clock.move(seconds=11)
        return Run.objects.get(pk=run.pk).attempts

    assert [attempt(), attempt(5), attempt(), attempt(6)] == [1, 1, 2, 1]
    assert [attempt(3, 6), attempt(1)] == [2, 3]
    assert claim(run.pk) is None
    assert ending.settle(run.pk)
    assert Run.objects.get(pk=run.pk).state == Run.State.GIVEN_UP


def test_who_has_lost_the_run_remembers_nothing(kind: Kind, clock: Moving) -> None:
    run = start()
    asleep = claim(run.pk)
    clock.move(seconds=11)
    awake = claim(run.pk)
    assert asleep is not None
    assert awake is not None
    awake.remember(1, {"at": "one"})
    with pytest.raises(LeaseLost):
        asleep.remember(2, {"at": "two"})
    assert Run.objects.get(pk=run.pk).position == {"at": "one", "furthest": 1}
