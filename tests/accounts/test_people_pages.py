"""The pages of people, teams and one's own account: who opens them, what they show, and what they offer whom."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.dispatcher import dispatch
from tests.accounts.conftest import acting, key_of, person, signed_in
from tests.pages import HTMX, ROLES, client_of, rows_of, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


@pytest.fixture
def grace() -> User:
    user = person("grace", "service_owner")
    user.teams.add(Team.objects.create(name="payments"))
    return user


@pytest.mark.parametrize("role", ROLES)
def test_who_opens_which_page(grace: User, role: str) -> None:
    browser = client_of(role)
    sees_people = role in ("sre_admin", "auditor")
    manages = role == "sre_admin"
    team = Team.objects.get()
    expected = {
        "/people/": sees_people,
        "/people/grace/": sees_people,
        "/new-person/": manages,
        "/people/grace/reset-password/": manages,
        "/teams/": True,
        f"/teams/{team.pk}/": True,
        "/account/": True,
        "/account/password/": True,
    }
    assert {address: browser.get(address).status_code for address in expected} == {
        address: 200 if may else 403 for address, may in expected.items()
    }


def test_nobody_sees_them_without_signing_in(client: Client, grace: User) -> None:
    for address in ("/people/", "/people/grace/", "/new-person/", "/teams/", "/account/"):
        assert client.get(address)["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("role", ROLES)
def test_buttons_are_offered_to_those_who_may(grace: User, role: str) -> None:
    browser = client_of(role)
    actions = re.compile(r"/actions/accounts\.(?:set_role|deactivate|create_team|add_member|end_sessions)/")
    addresses = ["/teams/", f"/teams/{Team.objects.get().pk}/"]
    addresses += ["/people/grace/"] if role in ("sre_admin", "auditor") else []
    for address in addresses:
        offered = bool(actions.search(browser.get(address).content.decode()))
        assert offered == (role == "sre_admin"), address


def test_the_rail_names_the_rooms_that_open(grace: User) -> None:
    for role in ROLES:
        page = client_of(role).get("/account/").content.decode()
        assert ('href="/people/"' in page) == (role in ("sre_admin", "auditor"))
        assert 'href="/teams/"' in page


def test_the_list_shows_where_everybody_stands(grace: User) -> None:
    key_of(grace)
    signed_in("grace")
    admin = client_of("sre_admin")
    page = text_of(admin.get("/people/"))
    assert "grace service owner payments ● active" in page
    dispatch(
        "accounts.deactivate",
        {"username": "grace", "rationale": "x"},
        actor=acting(User.objects.get(role="sre_admin")),
    )
    assert "deactivated" in text_of(admin.get("/people/?state=deactivated"))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=GRA", ["grace"]),
        ("role=viewer", ["ada"]),
        ("team=payments", ["grace"]),
        ("state=deactivated", ["edsger"]),
        ("state=never&role=viewer", ["ada"]),
        ("sort=-name&role=service_owner", ["grace", "edsger"]),
        ("sort=role&state=active&role=viewer", ["ada"]),
        ("q=nobody+like+this", []),
        ("state=invented", []),
    ],
)
def test_the_list_is_narrowed_and_sorted(grace: User, query: str, names: list[str]) -> None:
    person("ada")
    User.objects.filter(pk=person("edsger", "service_owner").pk).update(is_active=False)
    assert rows_of(client_of("sre_admin").get(f"/people/?{query}")) == names


@pytest.mark.parametrize("sort", ["name", "role", "state", "seen", "sessions", "keys"])
def test_every_order_works_both_ways(grace: User, sort: str) -> None:
    person("ada")
    admin = client_of("sre_admin")
    up, down = (rows_of(admin.get(f"/people/?sort={sign}{sort}", headers=HTMX)) for sign in ("", "-"))
    assert sorted(up) == sorted(down)
    assert len(up) == 3


def test_a_long_list_has_pages(grace: User) -> None:
    User.objects.bulk_create(User(username=f"u{number:03}") for number in range(130))
    admin = client_of("sre_admin")
    first, second = (rows_of(admin.get(f"/people/?page={page}")) for page in (1, 2))
    assert (len(first), len(second)) == (100, 32)
    assert not set(first) & set(second)


def test_a_person_is_shown_with_what_they_hold_and_did(grace: User) -> None:
    Service.objects.create(service_id="ledger", team=grace.teams.get())
    key_of(grace, "backstage")
    signed_in("grace", REMOTE_ADDR="192.0.2.9")
    Client().post("/sign-in/", {"username": "grace", "password": "wrong"})
    page = text_of(client_of("auditor").get("/people/grace/"))
    for words in (
        "192.0.2.9",
        "backstage",
        "payments",
        "The only owner of 1 service: ledger",
        "Sign-in as grace failed",
        "Sign-in of grace with",
    ):
        assert words in page, words


def test_nobody_of_that_name_is_not_found() -> None:
    assert client_of("sre_admin").get("/people/nobody/").status_code == 404
    assert client_of("sre_admin").get("/teams/999/").status_code == 404


def test_an_account_is_made_and_its_password_shown_once() -> None:
    admin = client_of("sre_admin")
    answer = admin.post("/new-person/", {"username": "ada", "role": "auditor", "teams": "payments\nshop"})
    shown = re.search(r'id="made-password" class="mono" value="([^"]+)"', answer.content.decode())
    assert shown
    ada = User.objects.get(username="ada")
    assert ada.check_password(shown[1])
    assert (ada.role, ada.teams.count()) == ("auditor", 2)
    taken = admin.post("/new-person/", {"username": "ADA"})
    assert taken.status_code == 409
    assert "already a user" in text_of(taken)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "sre_admin"])
def test_nobody_else_makes_one(role: str) -> None:
    assert client_of(role).post("/new-person/", {"username": "ada"}).status_code == 403
    assert not User.objects.filter(username="ada").exists()


def test_ones_own_page_shows_ones_own_sessions_and_no_others(grace: User) -> None:
    person("ada")
    signed_in("ada", REMOTE_ADDR="203.0.113.5")
    signed_in("grace", REMOTE_ADDR="192.0.2.7")
    page = text_of(signed_in("grace", REMOTE_ADDR="192.0.2.9").get("/account/"))
    assert "192.0.2.9" in page
    assert "192.0.2.7" in page
    assert "203.0.113.5" not in page
    assert "End all others…" in page


def test_a_team_shows_who_decides_and_what_it_owns(grace: User) -> None:
    team = grace.teams.get()
    Service.objects.create(service_id="ledger", team=team)
    page = text_of(client_of("viewer").get(f"/teams/{team.pk}/"))
    assert "grace service owner" in page
    assert "ledger" in page
    User.objects.filter(pk=grace.pk).update(role="viewer")
    assert "Nobody in this team may decide" in text_of(client_of("viewer").get(f"/teams/{team.pk}/"))


def test_archived_teams_are_listed_where_they_are_asked_for(grace: User) -> None:
    old = Team.objects.create(name="old")
    root = person("root", "sre_admin")
    dispatch("accounts.archive_team", {"team_id": old.pk, "rationale": "x"}, actor=acting(root))
    browser = client_of("viewer")
    assert rows_of(browser.get("/teams/")) == ["payments"]
    assert rows_of(browser.get("/teams/?state=archived")) == ["old"]
    assert rows_of(browser.get("/teams/?state=all&sort=-name")) == ["payments", "old"]
    Service.objects.create(service_id="ledger", team=old)
    assert rows_of(browser.get("/teams/")) == ["old", "payments"], "a team with services is in use"
