"""Any number of holders, any order of what may happen: never two at it, nothing lost, every end told once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apps.core import instants
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict
from apps.core.models import AuditEntry, OutboxEvent, Run
from apps.core.runs import ending, leases
from apps.core.runs.ending import ENDED
from apps.core.runs.holding import Holding, LeaseLost, Stopped, claim
from tests.core import runs
from tests.core.conftest import person
from tests.core.runs import KIND, Moving, start

ENDS = ("completed", "failed", "cancelled", "given_up")
WORDS = st.integers(0, 9).map(str)


class Runs(RuleBasedStateMachine):
    """Runs of one key and of none, claimed, renewed, lost, ended, cancelled, paused and resumed in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.clock = Moving()
        self.stack.enter_context(instants.clocks(database=self.clock))
        self.stack.enter_context(runs.known(max_attempts=3))
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.holdings: list[Holding] = []
        self.asked: list[tuple[Any, str]] = []
        self.person = person("olga", "sre_admin")
        self.theirs: set[str] = set()
        self.cancelled: set[Any] = set()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)
        self.stack.close()

    def _run(self, data: Any) -> Run:
        run: Run = data.draw(st.sampled_from(list(Run.objects.order_by("created_at", "id"))))
        return run

    def _holding(self, data: Any) -> Holding:
        holding: Holding = data.draw(st.sampled_from(self.holdings))
        return holding

    @rule(word=WORDS, key=st.sampled_from(["", "k"]), by_person=st.booleans())
    def ask(self, word: str, key: str, by_person: bool) -> None:
        run = start(word, key=key, actor=self.person if by_person else runs.ACTOR)
        if by_person:
            self.theirs.add(str(run.pk))
        self.asked.append((run.pk, word))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def claim(self, data: Any) -> None:
        run = self._run(data)
        holding = claim(run.pk)
        if holding is not None:
            self.holdings.append(holding)
            assert not run.is_over
            assert run.state != Run.State.RUNNING or leases.has_run_out(run, self.clock())

    @rule(seconds=st.sampled_from([1, 4, 9, 11, 3600, -7200, 400]))
    def time_passes(self, seconds: int) -> None:
        self.clock.move(seconds=seconds)

    @precondition(lambda self: self.holdings)
    @rule(data=st.data())
    def beat(self, data: Any) -> None:
        holding = self._holding(data)
        holding.beat()
        is_holder = Run.objects.filter(pk=holding.run.pk, lease_token=holding.token, state="running").exists()
        try:
            holding.checkpoint()
        except LeaseLost:
            assert not is_holder
        except Stopped:
            assert is_holder
        else:
            assert is_holder

    @precondition(lambda self: self.holdings)
    @rule(data=st.data(), state=st.sampled_from(["completed", "failed", "cancelled"]))
    def end(self, data: Any, state: Any) -> None:
        holding = self._holding(data)
        before = Run.objects.get(pk=holding.run.pk)
        try:
            ending.end(holding, state)
        except LeaseLost:
            assert before.lease_token != holding.token or before.state != Run.State.RUNNING
        else:
            assert (before.lease_token, before.state) == (holding.token, Run.State.RUNNING)

    @precondition(lambda self: self.holdings)
    @rule(data=st.data(), leave=st.sampled_from([ending.rest, ending.release, ending.postpone]))
    def leave(self, data: Any, leave: Any) -> None:
        holding = self._holding(data)
        before = Run.objects.get(pk=holding.run.pk)
        leave(holding)
        if before.lease_token != holding.token:
            assert Run.objects.get(pk=holding.run.pk).state == before.state

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), lever=st.sampled_from(["cancel", "pause", "resume"]))
    def pull(self, data: Any, lever: str) -> None:
        run = self._run(data)
        try:
            dispatch(f"core.{lever}_run", {"run_id": str(run.pk)}, actor=Actor.system("tests"))
        except Conflict:
            return
        assert not run.is_over
        if lever == "cancel":
            self.cancelled.add(run.pk)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def settle(self, data: Any) -> None:
        run = self._run(data)
        if ending.settle(run.pk):
            assert run.state == Run.State.PENDING or leases.has_run_out(run, self.clock())

    @invariant()
    def at_most_one_holder(self) -> None:
        for run in Run.objects.all():
            holders = [one for one in self.holdings if one.run.pk == run.pk and one.token == run.lease_token]
            assert len(holders) <= 1
            assert run.attempts <= KIND.max_attempts
        running = Run.objects.filter(state="running", dedupe_key="k")
        assert running.count() <= 1

    @invariant()
    def every_end_is_told_once(self) -> None:
        ended = {
            str(pk): state for pk, state in Run.objects.filter(state__in=ENDS).values_list("pk", "state")
        }
        audited = list(
            AuditEntry.objects.filter(after__state__in=ENDS, object_type="run").values_list(
                "object_id", flat=True
            )
        )
        told = [
            payload["run"]
            for payload in OutboxEvent.objects.filter(topic=ENDED).values_list("payload", flat=True)
        ]
        assert sorted(told) == sorted(ended)
        assert sorted(audited) == sorted(
            pk for pk, state in ended.items() if state != "completed" or pk in self.theirs
        )

    @invariant()
    def nothing_asked_for_is_lost(self) -> None:
        for pk, word in self.asked:
            assert word in Run.objects.get(pk=pk).parameters["words"]

    @invariant()
    def a_wanted_cancel_stays_wanted_and_is_not_put_off(self) -> None:
        for run in Run.objects.filter(pk__in=self.cancelled).exclude(state__in=ENDS):
            assert (run.state != "paused", run.stop, run.not_before) == (True, "cancel", None)

    @invariant()
    def whatever_is_not_over_can_be_begun_or_resumed(self) -> None:
        for run in Run.objects.exclude(state__in=ENDS):
            assert run.state in ("pending", "running", "paused")
            if run.state == "running":
                assert run.lease_until is not None


@pytest.mark.long
@pytest.mark.django_db
def test_runs_in_any_order() -> None:
    run_state_machine_as_test(Runs, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))
