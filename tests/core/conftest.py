"""A lever and listeners for the tests of the two spines; they are known only while a test runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from apps.accounts.models import Team, User
from apps.core import actions
from apps.core.actions import Action, ActionInput, Actor, Call, Event, FieldChange, Outcome, Preview, Touch
from apps.core.delivery import outbox
from apps.core.models import AuditEntry, OutboxEvent

type Listen = Callable[[str, str, Callable[[OutboxEvent], None]], None]


class AddTeamInput(ActionInput):
    name: str
    count: int = 1
    rationale: str = ""


class AddTeam(Action[AddTeamInput, dict[str, int]]):
    """Adds teams; ``count`` 0 fails after they were added."""

    name = "tests.add_team"
    title = "Add team"
    permission = "accounts.manage_users"
    Input = AddTeamInput

    def preview(self, call: Call[AddTeamInput]) -> Preview:
        before = str(Team.objects.count())
        return Preview(
            summary=f"{call.input.name} is added.",
            changes=[FieldChange("Teams", before, str(int(before) + 1))],
            touches=[Touch(1, "team", [call.input.name])],
        )

    def execute(self, call: Call[AddTeamInput]) -> Outcome[dict[str, int]]:
        number = Team.objects.count() + 1
        team = Team.objects.create(name=f"{call.input.name} {number}")
        if call.input.count == 0:
            raise RuntimeError("after the change")
        return Outcome(
            result={"number": number},
            shown_once={"secret": "only now"},
            object_type="team",
            object_id=str(team.pk),
            object_label=team.name,
            after={"name": team.name},
            events=[Event("tests.team_added", {"team": team.pk, "unsendable": object()})]
            if call.input.count == -1
            else [Event("tests.team_added", {"team": team.pk})],
        )


@pytest.fixture
def lever(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a registered action that adds a team."""
    monkeypatch.setitem(actions._registry, AddTeam.name, AddTeam())
    return AddTeam.name


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Subscribe a handler to a topic until the test ends."""
    added: list[outbox.Subscriber] = []

    def subscribe(topic: str, name: str, handle: Callable[[OutboxEvent], None]) -> None:
        outbox.subscribe(topic, name=name)(handle)
        added.append(outbox._by_name[name])

    yield subscribe
    for subscriber in added:
        outbox._by_topic[subscriber.topic].remove(subscriber)
        del outbox._by_name[subscriber.name]


def person(name: str, role: str) -> Actor:
    """A signed-in user of that role."""
    return Actor.person(User.objects.create_user(name, role=role), AuditEntry.Source.WEB, ip="192.0.2.7")
