"""Pages remember answers by the tables that they name: they must name every table they read, each of them watched."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Hashable
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Team
from apps.catalog.models import CycleAlert, Service
from apps.core.remembered import remembered
from apps.slos.objectives import status
from tests.slos.conftest import make_edge, make_service, make_user

PAGES = (
    *("/", "/services/", "/recommendations/", "/recommendations/?due=all", "/slos/"),
    *("/services/checkout/", "/telemetry/"),
)


def watched() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%%_marked'")
        return {table for (table,) in cursor.fetchall()}


def tables_of(queries: CaptureQueriesContext) -> set[str]:
    known = set(connection.introspection.table_names())
    return {word for query in queries for word in re.findall(r"\w+", query["sql"]) if word in known}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[Hashable, tuple[set[str], set[str]]]:
    """What each answer names and what it reads, by its key; nothing is remembered."""
    found: dict[Hashable, tuple[set[str], set[str]]] = {}

    def read_at_once(key: Hashable, tables: Collection[str], read: Callable[[], Any]) -> Any:
        with CaptureQueriesContext(connection) as queries:
            answer = read()
        found[key] = (set(tables), tables_of(queries))
        return answer

    import_module(settings.ROOT_URLCONF)  # loads every page
    original = remembered  # this very name is replaced as well
    for module in list(sys.modules.values()):
        if getattr(module, "remembered", None) is original:
            monkeypatch.setattr(module, "remembered", read_at_once)
    return found


@pytest.mark.parametrize("role", ["sre_admin", "service_owner", "viewer"])
def test_an_answer_names_all_tables_that_it_reads_and_they_are_watched(
    role: str, checkout: Service, shop: Team, answers: dict[Hashable, tuple[set[str], set[str]]]
) -> None:
    make_edge(make_service("web", team=shop), checkout)
    CycleAlert.objects.create(fingerprint="a", members=["checkout", "web"], path=["checkout", "web"])
    status.refresh()
    client = Client()
    client.force_login(make_user("ada", role, shop))
    for path in PAGES:
        assert client.get(path).status_code == 200, path
    assert len(answers) > 6
    unnamed = {key: read - named for key, (named, read) in answers.items() if read - named}
    assert not unnamed
    assert set().union(*(named for named, _ in answers.values())) <= watched()


@pytest.mark.django_db(transaction=True)
def test_what_one_may_decide_on_is_not_shown_to_another() -> None:
    shop, till = Team.objects.create(name="shop"), Team.objects.create(name="till")
    for team in (shop, till, till):
        service = make_service(f"{team.name}-{Service.objects.count()}", team=team)
        status.refresh([service.pk])
        service.status.decision_due = True
        service.status.save(update_fields=["decision_due"])
    people = {
        "all": (make_user("ada", "sre_admin"), 3),
        "shop": (make_user("olga", "service_owner", shop), 1),
        "till": (make_user("tom", "service_owner", till), 2),
        "none": (make_user("vera", "viewer", till), 0),
    }
    for _ in range(2):
        for user, due in people.values():
            client = Client()
            client.force_login(user)
            page = client.get("/")
            assert page.context["fleet"].decisions_count == due
            assert page.context["needs"].without_slo_count == due
