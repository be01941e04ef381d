"""The table of roles, as questions."""

from __future__ import annotations

import pytest

from apps.accounts.models import Team, User
from apps.accounts.permissions import who_may
from apps.catalog.models import Service

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("role", "own", "foreign", "unowned"),
    [
        ("sre_admin", True, True, True),
        ("service_owner", True, False, False),
        ("auditor", False, False, False),
        ("viewer", False, False, False),
    ],
)
def test_who_decides_on_a_service(role: str, own: bool, foreign: bool, unowned: bool) -> None:
    payments, shop = Team.objects.create(name="payments"), Team.objects.create(name="shop")
    user = User.objects.create_user("ada", role=role)
    user.teams.add(payments)
    services = [Service.objects.create(service_id=str(team), team=team) for team in (payments, shop, None)]
    assert [user.has_perm("slos.decide", service) for service in services] == [own, foreign, unowned]


def test_an_inactive_user_may_nothing() -> None:
    user = User.objects.create_user("ada", role="sre_admin", is_active=False)
    assert not user.has_perm("slos.view")


def test_an_unknown_permission_is_nobodys() -> None:
    user = User.objects.create_user("ada", role="sre_admin", is_superuser=False)
    assert not user.has_perm("slos.invented")
    assert who_may("slos.invented") == "nobody may do this."


def test_a_refusal_names_the_team() -> None:
    team = Team.objects.create(name="payments")
    service = Service.objects.create(service_id="payments-api", team=team)
    assert who_may("slos.decide", service) == (
        "only an SRE admin or an owner of the service may do this. It belongs to team payments."
    )
