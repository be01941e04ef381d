"""The filtered listing as a file."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from apps.audit import queries
from apps.audit.queries import EXPORT_HEADER
from tests.audit.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("trail")]


def export(role: str, query: str = "", team: str = "") -> list[dict[str, str]]:
    client = Client()
    client.force_login(person(role, team))
    response = client.get(reverse("audit-csv") + query)
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    text = response.getvalue().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_it_holds_what_the_filter_shows() -> None:
    rows = export("auditor", "?service=payments-api")
    assert [row["action"] for row in rows] == ["slos.reject", "slos.accept"]
    assert tuple(rows[0]) == EXPORT_HEADER
    assert (rows[0]["actor"], rows[0]["before"], rows[0]["after"]) == ("grace", '{"a": 1}', '{"a": 2}')


def test_a_rationale_cannot_become_a_formula() -> None:
    (row,) = export("auditor", "?action=slos.accept")
    assert row["rationale"] == "'=cmd|' /C calc'!A0"


def test_an_owner_gets_what_concerns_their_own_services() -> None:
    assert [row["service_id"] for row in export("service_owner", team="shop")] == ["shop/checkout"]


def test_it_rejects_a_viewer() -> None:
    client = Client()
    client.force_login(person("viewer"))
    assert client.get(reverse("audit-csv")).status_code == 403


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "EXPORT_ROWS", 2)
    assert [row["action"] for row in export("auditor")] == ["accounts.set_role", "catalog.edit_service"]
