"""Who reads which entries, and how they are found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.audit import queries
from apps.audit.queries import AuditFilters
from apps.core.errors import NotAllowed, NotFound
from apps.core.models import AuditEntry
from tests.api.conftest import key_for, problem
from tests.audit.conftest import NOW, entry, person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("trail")]
ALL = ["accounts.set_role", "catalog.edit_service", "slos.reject", "slos.accept"]


def found(role: str = "auditor", team: str = "", **filters: Any) -> list[str]:
    page = queries.audit_page(person(role, team), AuditFilters(**filters))
    return [one.action for one in page.items]


@pytest.mark.parametrize("role", ["sre_admin", "auditor"])
def test_admins_and_auditors_read_everything_newest_first(role: str) -> None:
    assert found(role) == ALL


def test_owners_read_what_concerns_their_own_services() -> None:
    assert found("service_owner", "payments") == ["slos.reject", "slos.accept"]
    assert found("service_owner", "shop") == ["catalog.edit_service"]


def test_an_owner_without_team_reads_nothing() -> None:
    assert found("service_owner") == []


def test_it_rejects_a_viewer() -> None:
    with pytest.raises(NotAllowed, match="an auditor"):
        found("viewer")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"service": "shop/checkout"}, ["catalog.edit_service"]),
        ({"action": "slos"}, ["slos.reject", "slos.accept"]),
        ({"action": "slos.accept"}, ["slos.accept"]),
        ({"action": "slo"}, []),
        ({"actor": "GRACE"}, ["slos.reject"]),
        ({"object_type": "user"}, ["accounts.set_role"]),
        ({"object_type": "user", "object_id": "8"}, []),
        ({"since": NOW - timedelta(minutes=3)}, ALL[:3]),
        ({"until": NOW - timedelta(minutes=3)}, ["slos.accept"]),
        ({"service": "payments-api", "actor": "ada"}, ["slos.accept"]),
    ],
)
def test_filters_narrow(filters: dict[str, Any], expected: list[str]) -> None:
    assert found(**filters) == expected


def test_a_filter_does_not_widen_what_an_owner_reads() -> None:
    assert found("service_owner", "payments", service="shop/checkout") == []


def test_one_entry_of_another_team_is_not_found() -> None:
    theirs = AuditEntry.objects.get(service_id="shop/checkout")
    with pytest.raises(NotFound):
        queries.audit_entry(person("service_owner", "payments"), theirs.pk)


def client_of(role: str, team: str = "") -> Client:
    return Client(headers={"X-API-Key": key_for(person(role, team))})


def test_the_api_lists_in_pages() -> None:
    client = client_of("auditor")
    first = client.get("/api/v1/audit?limit=3").json()
    entry("slos.retire", "payments-api")
    rest = client.get("/api/v1/audit", {"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [item["action"] for item in first["items"] + rest["items"]] == ALL
    assert rest["next_cursor"] is None
    assert first["items"][2] | {"id": "", "created_at": ""} == {
        "id": "",
        "created_at": "",
        "action": "slos.reject",
        "actor": "grace",
        "source": "web",
        "api_key_prefix": "",
        "ip": None,
        "request_id": "",
        "object_type": "service",
        "object_id": "payments-api",
        "object_label": "",
        "service_id": "payments-api",
        "before": {"a": 1},
        "after": {"a": 2},
        "rationale": "",
    }


def test_the_api_reads_one() -> None:
    one = AuditEntry.objects.get(action="slos.reject")
    assert client_of("auditor").get(f"/api/v1/audit/{one.pk}").json()["actor"] == "grace"
    problem(client_of("service_owner", "shop").get(f"/api/v1/audit/{one.pk}"), 404)


def test_the_api_rejects_a_viewer() -> None:
    problem(client_of("viewer").get("/api/v1/audit"), 403)


def page(role: str, path: str, team: str = "", **headers: str) -> tuple[int, str]:
    client = Client()
    client.force_login(person(role, team))
    response = client.get(path, headers=headers)
    return response.status_code, response.content.decode()


def test_the_page_shows_what_the_query_asks_for() -> None:
    status, html = page("auditor", reverse("audit") + "?service=payments-api&actor=grace")
    assert status == 200
    assert "slos.reject" in html
    assert "slos.accept" not in html
    assert "<html" in html


def test_htmx_gets_the_table_alone() -> None:
    status, html = page("auditor", reverse("audit"), **{"HX-Request": "true"})
    assert status == 200
    assert "slos.reject" in html
    assert "<html" not in html


def test_the_page_rejects_a_viewer() -> None:
    status, html = page("viewer", reverse("audit"))
    assert status == 403
    assert "slos.reject" not in html


def test_a_filter_that_cannot_be_read_is_named() -> None:
    status, html = page("auditor", reverse("audit") + "?since=soon")
    assert status == 422
    assert "since" in html


def test_an_entry_has_a_page_with_before_and_after() -> None:
    one = AuditEntry.objects.get(action="slos.reject")
    status, html = page("auditor", reverse("audit-entry", args=[one.pk]))
    assert status == 200
    assert "grace" in html
    assert "&quot;a&quot;: 2" in html
    assert page("service_owner", reverse("audit-entry", args=[one.pk]), "shop")[0] == 404


def test_a_stranger_is_sent_to_sign_in(client: Client) -> None:
    for path in (reverse("audit"), reverse("audit-csv")):
        assert client.get(path)["Location"].startswith(reverse("login"))


def test_the_last_day_of_the_calendar_is_a_day(client: Client) -> None:
    client.force_login(person("auditor"))
    for name in ("audit", "audit-csv"):
        assert client.get(reverse(name), {"until": "9999-12-31"}).status_code == 200
