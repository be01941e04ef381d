from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.urls import path

from apps.ui import navigation
from apps.ui.context_processors import Shell


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("", page, name="overview"),
    path("services/", page, name="services"),
    path("services/map/", page, name="dependency-map"),
    path("recommendations/", page, name="recommendations"),
    path("audit/", page, name="audit"),
]


class Person:
    is_authenticated = True

    def __init__(self, *permissions: str) -> None:
        self.permissions = permissions

    def has_perm(self, permission: str, target: Any = None) -> bool:
        return permission in self.permissions


class Visit:
    path = "/"

    def __init__(self, user: Any) -> None:
        self.user = user


@pytest.fixture(autouse=True)
def _these_addresses_and_no_figures(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOT_URLCONF = __name__
    found = tuple(replace(entry, count="") for entry in navigation.entries())
    monkeypatch.setattr(navigation, "entries", lambda: found)


def labels(person: Person, path: str = "/") -> list[str]:
    return [item.label for group in navigation.groups(person, path) for item in group.items]  # type: ignore[arg-type]


def test_a_room_without_an_address_is_not_shown() -> None:
    found = labels(Person("slos.view", "catalog.view", "telemetry.view"))
    assert found == ["Overview", "Services", "Dependency map", "Recommendations"]


def test_a_room_that_this_person_may_not_enter_is_not_shown() -> None:
    assert "Audit" not in labels(Person("slos.view"))
    assert "Audit" in labels(Person("slos.view", "audit.view"))


def test_a_verb_without_rooms_is_not_shown() -> None:
    assert [group.verb for group in navigation.groups(Person("catalog.view"), "/")] == ["See"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "current"),
    [
        ("/", ["Overview"]),
        ("/services/", ["Services"]),
        ("/services/payments-api", ["Services"]),
        ("/services/map/payments-api", ["Dependency map"]),
        ("/account/", []),
    ],
)
def test_the_room_one_stands_in_is_marked(path: str, current: list[str]) -> None:
    groups = navigation.groups(Person("slos.view", "catalog.view"), path)  # type: ignore[arg-type]
    assert [item.label for group in groups for item in group.items if item.is_current] == current


def test_the_number_of_things_that_wait_comes_from_the_room_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    _waits_in("recommendations", monkeypatch)
    see, decide = navigation.groups(Person("slos.view"), "/")  # type: ignore[arg-type]
    assert [item.count for item in see.items + decide.items] == [0, 7]


def test_a_room_that_counts_nothing_shows_no_number() -> None:
    groups = navigation.groups(Person("catalog.view"), "/")  # type: ignore[arg-type]
    assert [item.count for group in groups for item in group.items] == [0, 0]


@pytest.mark.parametrize("where", ["recommendations", "audit"])
def test_the_bar_leads_to_where_something_waits(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _waits_in(where, monkeypatch)
    shell = Shell(Visit(Person("slos.view", "audit.view")))  # type: ignore[arg-type]
    assert (shell.needs_you, shell.needs_you_url, shell.needs_you_label) == (
        7,
        f"/{where}/",
        where.capitalize(),
    )


def test_the_bar_leads_nowhere_while_nothing_waits() -> None:
    shell = Shell(Visit(Person("slos.view", "audit.view")))  # type: ignore[arg-type]
    assert (shell.needs_you, shell.needs_you_url) == (0, "")


def test_an_entry_under_an_unknown_verb_is_refused() -> None:
    with pytest.raises(ValueError, match="Ponder is none of the verbs See, Decide, Act, Prove"):
        navigation.Entry("Ponder", "Clouds", "overview", "slos.view")


def test_the_frame_asks_for_nothing_until_it_is_drawn() -> None:
    class Refuses:
        @property
        def user(self) -> None:
            raise AssertionError("asked before drawn")

    Shell(Refuses())  # type: ignore[arg-type]


def test_who_is_not_signed_in_is_shown_no_figures() -> None:
    shell = Shell(Visit(AnonymousUser()))  # type: ignore[arg-type]
    assert (shell.needs_you, shell.data_as_of, shell.search_url, shell.navigation) == (0, None, "", ())


def _waits_in(url_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have seven things wait in that room."""
    found = tuple(
        replace(entry, count=f"{__name__}.seven" if entry.url_name == url_name else "")
        for entry in navigation.entries()
    )
    monkeypatch.setattr(navigation, "entries", lambda: found)


def seven(user: object) -> int:
    return 7
