"""Teams are made, renamed, put away and filled by SRE admins, and never so that services lose their team unseen."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, NotAllowed, NotFound
from apps.core.models import AuditEntry, OutboxEvent
from tests.accounts.conftest import acting, entries, person
from tests.pages import ROLES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


@pytest.fixture
def root() -> User:
    return person("root", "sre_admin")


@pytest.fixture
def payments() -> Team:
    return Team.objects.create(name="payments")


def do(action: str, by: User, /, **data: Any) -> dict[str, Any]:
    return dispatch(f"accounts.{action}", data, actor=acting(by)).value


def test_a_team_is_made_once_in_any_case(root: User) -> None:
    do("create_team", root, name="payments")
    with pytest.raises(Conflict, match="already"):
        do("create_team", root, name="Payments")
    assert entries("accounts.create_team")[0].after["name"] == "payments"  # type: ignore[index]
    assert OutboxEvent.objects.get().topic == "accounts.team_created"


def test_a_renamed_team_keeps_its_people_and_services(root: User, payments: Team) -> None:
    person("grace").teams.add(payments)
    Service.objects.create(service_id="ledger", team=payments)
    shown = preview("accounts.rename_team", {"team_id": payments.pk, "name": "money"}, actor=acting(root))
    assert (shown.changes[0].before, shown.changes[0].after, shown.touches[0].count) == (
        "payments",
        "money",
        1,
    )
    do("rename_team", root, team_id=payments.pk, name="money")
    payments.refresh_from_db()
    assert (payments.name, payments.members.count(), payments.services.count()) == ("money", 1, 1)
    (entry,) = entries("accounts.rename_team")
    assert (entry.before["name"], entry.after["name"]) == ("payments", "money")  # type: ignore[index]


def test_a_taken_name_is_refused_and_ones_own_in_another_case_is_not(root: User, payments: Team) -> None:
    Team.objects.create(name="shop")
    with pytest.raises(Conflict, match="already"):
        do("rename_team", root, team_id=payments.pk, name="SHOP")
    assert do("rename_team", root, team_id=payments.pk, name="Payments")["name"] == "Payments"


def test_a_team_with_services_is_not_put_away(root: User, payments: Team) -> None:
    Service.objects.create(service_id="ledger", team=payments)
    with pytest.raises(Conflict, match="owns 1 service"):
        do("archive_team", root, team_id=payments.pk, rationale="merged")


def test_an_archived_team_has_nobody_and_takes_nobody_until_it_is_restored(
    root: User, payments: Team
) -> None:
    grace = person("grace", "service_owner")
    grace.teams.add(payments)
    shown = preview(
        "accounts.archive_team", {"team_id": payments.pk, "rationale": "merged"}, actor=acting(root)
    )
    assert list(shown.touches[0].names) == ["grace"]
    do("archive_team", root, team_id=payments.pk, rationale="merged")
    assert not grace.teams.exists()
    assert entries("accounts.archive_team")[0].before["members"] == ["grace"]  # type: ignore[index]
    with pytest.raises(Conflict, match="archived"):
        do("add_member", root, team_id=payments.pk, username="grace")
    with pytest.raises(Conflict, match="already"):
        do("archive_team", root, team_id=payments.pk, rationale="again")
    do("restore_team", root, team_id=payments.pk)
    do("add_member", root, team_id=payments.pk, username="grace")
    with pytest.raises(Conflict, match="not archived"):
        do("restore_team", root, team_id=payments.pk)


def test_a_member_decides_from_then_on_and_no_longer_afterwards(root: User, payments: Team) -> None:
    person("grace", "service_owner")
    ledger = Service.objects.create(service_id="ledger", team=payments)
    do("add_member", root, team_id=payments.pk, username="grace")
    assert User.objects.get(username="grace").has_perm("slos.decide", ledger)
    with pytest.raises(Conflict, match="already"):
        do("add_member", root, team_id=payments.pk, username="grace")
    shown = preview(
        "accounts.remove_member", {"team_id": payments.pk, "username": "grace"}, actor=acting(root)
    )
    assert [(touch.label, list(touch.names)) for touch in shown.touches] == [
        ("service that loses its last owner", ["ledger"])
    ]
    do("remove_member", root, team_id=payments.pk, username="grace")
    assert not User.objects.get(username="grace").has_perm("slos.decide", ledger)
    with pytest.raises(Conflict, match="not in team"):
        do("remove_member", root, team_id=payments.pk, username="grace")


def test_a_deactivated_person_joins_no_team(root: User, payments: Team) -> None:
    person("grace")
    do("deactivate", root, username="grace", rationale="x")
    with pytest.raises(Conflict, match="deactivated"):
        do("add_member", root, team_id=payments.pk, username="grace")


ALL = [
    ("create_team", {"name": "new"}),
    ("rename_team", {"team_id": 0, "name": "new"}),
    ("archive_team", {"team_id": 0, "rationale": "x"}),
    ("restore_team", {"team_id": 0}),
    ("add_member", {"team_id": 0, "username": "bob"}),
    ("remove_member", {"team_id": 0, "username": "bob"}),
]


@pytest.mark.parametrize("role", [role for role in ROLES if role != "sre_admin"])
@pytest.mark.parametrize(("name", "data"), ALL)
def test_it_rejects_everybody_but_an_admin(
    payments: Team, name: str, data: dict[str, Any], role: str
) -> None:
    bob, root = person("bob", role), person("root", "sre_admin")
    given = {key: payments.pk if value == 0 else value for key, value in data.items()}
    with pytest.raises(NotAllowed):
        do(name, bob, **given)
    with pytest.raises(NotAllowed, match="key"):
        dispatch(f"accounts.{name}", given, actor=acting(root, api_key_prefix="blst_abc"))
    assert not AuditEntry.objects.exists()


def test_what_is_not_there_is_not_found(root: User) -> None:
    for name, data in ALL[1:]:
        with pytest.raises(NotFound):
            do(name, root, **{key: 10**9 if value == 0 else value for key, value in data.items()})  # type: ignore[attr-defined]
