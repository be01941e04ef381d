"""Every change goes through one door and leaves its proof, or leaves nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, OperationalError, connection, transaction
from django.http import Http404

from apps.accounts.models import Team
from apps.core import actions
from apps.core.actions import Actor, AnyAction, Call
from apps.core.dispatcher import Result, dispatch, preview
from apps.core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from apps.core.models import AuditEntry, IdempotencyKey, OutboxDelivery, OutboxEvent
from apps.core.web.problems import translated
from tests.core.conftest import Listen, person

pytestmark = pytest.mark.django_db


def nothing_happened() -> bool:
    return not any(
        model.objects.exists() for model in (Team, AuditEntry, OutboxEvent, OutboxDelivery, IdempotencyKey)
    )


def test_a_change_leaves_its_audit_entry_and_its_event(lever: str, listen: Listen) -> None:
    listen("tests.team_added", "tests.one", lambda event: None)
    listen("tests.team_added", "tests.two", lambda event: None)
    actor = person("ada", "sre_admin")
    dispatch(lever, {"name": "payments", "rationale": "they own it now"}, actor=actor)
    team = Team.objects.get()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.actor_name) == (lever, actor.user, "ada")
    assert (entry.object_type, entry.object_id, entry.object_label) == ("team", str(team.pk), team.name)
    assert (entry.before, entry.after) == (None, {"name": team.name})
    assert (entry.rationale, entry.ip, entry.source) == ("they own it now", "192.0.2.7", "web")
    event = OutboxEvent.objects.get()
    assert (event.topic, event.payload) == ("tests.team_added", {"team": team.pk})
    subscribers = set(event.deliveries.values_list("subscriber", flat=True))
    assert subscribers == {"tests.one", "tests.two"}


def test_a_failing_change_leaves_nothing(lever: str) -> None:
    with pytest.raises(RuntimeError):
        dispatch(
            lever, {"name": "payments", "count": 0}, actor=person("ada", "sre_admin"), idempotency_key="k"
        )
    assert nothing_happened()


def test_a_change_whose_event_cannot_be_written_leaves_nothing(lever: str) -> None:
    with pytest.raises(TypeError):
        dispatch(
            lever, {"name": "payments", "count": -1}, actor=person("ada", "sre_admin"), idempotency_key="k"
        )
    assert nothing_happened()


def test_a_preview_leaves_nothing(lever: str) -> None:
    shown = preview(lever, {"name": "payments"}, actor=person("ada", "sre_admin"))
    assert shown.summary == "payments is added."
    assert nothing_happened()


@pytest.mark.parametrize("role", ["service_owner", "auditor", "viewer"])
def test_a_refusal_names_who_may_and_leaves_nothing(lever: str, role: str) -> None:
    actor = person("bob", role)
    for call in (dispatch, preview):
        with pytest.raises(NotAllowed, match="only an SRE admin"):
            call(lever, {"name": "payments"}, actor=actor)
    assert nothing_happened()


def test_an_input_that_cannot_be_taken_names_every_field(lever: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch(lever, {"count": "many", "colour": "red"}, actor=person("ada", "sre_admin"))
    assert {field.path for field in refusal.value.fields} == {"name", "count", "colour"}
    assert nothing_happened()


def test_an_unknown_action_is_not_found() -> None:
    with pytest.raises(NotFound):
        dispatch("tests.no_such", {}, actor=person("ada", "sre_admin"))


def test_two_actions_cannot_share_a_name(lever: str) -> None:
    before = actions.get(lever)
    with pytest.raises(RuntimeError, match=f"Two actions are called {lever}"):
        actions.register(type(before))
    assert actions.get(lever) is before


def test_a_gate_can_hold_an_authorised_call_back(lever: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def four_eyes(action: AnyAction, call: Call[Any]) -> None:
        raise Conflict(f"{action.title} needs a second person.")

    actor = person("ada", "sre_admin")
    monkeypatch.setattr(actions, "gates", [four_eyes])
    with pytest.raises(Conflict, match="second person"):
        dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k")
    assert nothing_happened()
    monkeypatch.setattr(actions, "gates", [])
    assert dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k").replayed is False


def test_a_gate_is_not_asked_about_a_call_that_is_not_allowed(
    lever: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(actions, "gates", [lambda action, call: asked.append(action.name)])
    with pytest.raises(NotAllowed):
        dispatch(lever, {"name": "payments"}, actor=person("bob", "viewer"))
    assert asked == []


def test_the_same_key_gets_the_same_answer_and_one_effect(lever: str) -> None:
    actor = person("ada", "sre_admin")
    first = dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k")
    second = dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k")
    assert (first.replayed, second.replayed) == (False, True)
    assert first.value["number"] == second.value["number"]
    assert Team.objects.count() == AuditEntry.objects.count() == OutboxEvent.objects.count() == 1


def test_what_is_shown_once_is_neither_kept_nor_replayed(lever: str) -> None:
    actor = person("ada", "sre_admin")
    assert dispatch(lever, {"name": "p"}, actor=actor, idempotency_key="k").value["secret"] == "only now"
    assert "secret" not in dispatch(lever, {"name": "p"}, actor=actor, idempotency_key="k").value
    assert "only now" not in str(list(IdempotencyKey.objects.values()) + list(AuditEntry.objects.values()))


def test_a_key_used_for_something_else_is_a_conflict(lever: str) -> None:
    actor = person("ada", "sre_admin")
    dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k")
    with pytest.raises(Conflict):
        dispatch(lever, {"name": "shop"}, actor=actor, idempotency_key="k")
    assert Team.objects.count() == 1


def test_two_people_may_choose_the_same_key(lever: str) -> None:
    for name in ("ada", "grace"):
        dispatch(lever, {"name": "payments"}, actor=person(name, "sre_admin"), idempotency_key="k")
    assert Team.objects.count() == 2


def test_the_answers_to_several_keys_are_kept_apart(lever: str) -> None:
    ada, system = person("ada", "sre_admin"), [Actor.system("import"), Actor.system("schedule")]
    asked = [("payments", ada, "k"), ("ledger", ada, "l"), *((f"{each.name}", each, "k") for each in system)]

    def answers() -> list[Result]:
        return [
            dispatch(lever, {"name": name}, actor=actor, idempotency_key=key) for name, actor, key in asked
        ]

    first, again = answers(), answers()
    assert [result.value["number"] for result in again] == [result.value["number"] for result in first]
    assert (any(result.replayed for result in first), all(result.replayed for result in again)) == (
        False,
        True,
    )
    assert Team.objects.count() == len(asked)


def test_a_key_is_free_again_after_a_failure(lever: str) -> None:
    actor = person("ada", "sre_admin")
    with pytest.raises(RuntimeError):
        dispatch(lever, {"name": "payments", "count": 0}, actor=actor, idempotency_key="k")
    assert dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k").replayed is False


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\nb", "a\0b", "ä"])
def test_an_unusable_key_is_refused(lever: str, key: str) -> None:
    with pytest.raises(InvalidInput):
        dispatch(lever, {"name": "payments"}, actor=person("ada", "sre_admin"), idempotency_key=key)
    assert nothing_happened()


@pytest.mark.django_db(transaction=True)
def test_two_requests_with_the_same_key_at_once_have_one_effect(lever: str) -> None:
    actor = person("ada", "sre_admin")
    barrier = threading.Barrier(4)
    results: list[Result] = []

    def ask() -> None:
        try:
            barrier.wait(timeout=20)
            results.append(dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k"))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(result.replayed for result in results) == [False, True, True, True]
    assert {result.value["number"] for result in results} == {1}
    assert Team.objects.count() == AuditEntry.objects.count() == OutboxEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_person_does_not_wait_without_end_for_another_change(
    lever: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.core.dispatcher.LOCK_TIMEOUT", "50ms")
    actor = person("ada", "sre_admin")
    dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k")
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(IdempotencyKey.objects.select_for_update())
            IdempotencyKey.objects.all().delete()
            holding.set()
            done.wait(10)
        connection.close()

    other = threading.Thread(target=hold)
    other.start()
    try:
        assert holding.wait(10)
        with pytest.raises(OperationalError) as error:
            dispatch(lever, {"name": "payments"}, actor=actor, idempotency_key="k")
    finally:
        done.set()
        other.join()
    known = translated(error.value)
    assert known is not None
    assert known.status == 503
    assert "Another change" in known.detail
    assert Team.objects.count() == 1


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Http404(), 404, "nothing at this address"),
        (PermissionDenied(), 403, "role does not permit"),
        (SuspiciousOperation(), 400, "cannot be read"),
        (RequestDataTooBig(), 413, "larger than the limit"),
        (DataError(), 422, "cannot be stored"),
    ],
)
def test_an_error_of_the_framework_is_told_as_one_of_ours(error: Exception, status: int, words: str) -> None:
    found = translated(error)
    assert found is not None
    assert found.status == status
    assert words in found.detail


def test_a_fault_of_ours_is_no_error_that_was_expected() -> None:
    assert translated(ZeroDivisionError()) is None
