"""Sending a graph in: what is recorded, who may, and how parts come together."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import User
from apps.catalog.models import Ingestion, IngestionPart, Service
from apps.core.actions import Preview
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from apps.core.models import AuditEntry, OutboxEvent
from apps.core.runs.starting import RING
from tests.catalog.conftest import acting, edges, published

NAME = "catalog.ingest_dependencies"


def send(user: User, *pairs: str, **said: Any) -> dict[str, Any]:
    data = {"discovery_source": "manual", "dependencies": edges(*pairs), **said}
    return dispatch(NAME, data, actor=acting(user)).value


def test_it_records_the_graph_and_leaves_the_work_to_a_worker(admin: User) -> None:
    answer = send(admin, "a>b", services=[{"service_id": "a"}])
    ingestion = Ingestion.objects.get()
    assert answer == {
        "ingestion_id": str(ingestion.pk),
        "state": "pending",
        "parts_expected": 1,
        "parts_received": 1,
        "status_url": f"/api/v1/services/dependencies/ingestions/{ingestion.pk}",
    }
    assert (ingestion.state, ingestion.rows_total, ingestion.requested_by) == ("pending", 2, admin)
    assert OutboxEvent.objects.get(topic=RING).payload == {"run": str(ingestion.pk)}
    assert not Service.objects.exists()


def test_it_leaves_an_audit_entry(admin: User) -> None:
    send(admin, "a>b")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.object_type) == (NAME, admin, "ingestion")
    assert entry.after is not None
    assert entry.after["dependencies"] == 1


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_it_rejects_those_who_only_read(role: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotAllowed, match="only an SRE admin or an owner"):
        send(request.getfixturevalue(role), "a>b")
    assert not Ingestion.objects.exists()


def test_it_takes_the_short_names_of_the_sources(admin: User) -> None:
    send(admin, "a>b", discovery_source="otel")
    assert Ingestion.objects.get().discovery_source == "otel_service_graph"


def test_it_names_the_fields_that_cannot_be_taken(admin: User) -> None:
    with pytest.raises(InvalidInput) as refused:
        send(admin, "a>b", services=[{"service_id": "a"}, {"service_id": " b", "criticality": "urgent"}])
    assert {field.path for field in refused.value.fields} == {
        "services.1.service_id",
        "services.1.criticality",
    }
    assert not Ingestion.objects.exists()


def test_it_waits_for_all_parts(admin: User) -> None:
    first = send(admin, "a>b", parts=3)
    again = send(admin, "e>f", ingestion_id=first["ingestion_id"], part=3)
    assert (first["state"], again["state"], again["parts_received"]) == ("receiving", "receiving", 2)
    assert not OutboxEvent.objects.filter(topic=RING).exists()
    last = send(admin, "c>d", ingestion_id=first["ingestion_id"], part=2)
    assert last["state"] == "pending"
    assert OutboxEvent.objects.get(topic=RING).payload == {"run": first["ingestion_id"]}
    assert Ingestion.objects.get().rows_total == 3


def test_the_same_part_again_changes_nothing(admin: User) -> None:
    first = send(admin, "a>b", parts=2)
    for _ in range(2):
        send(admin, "a>b", ingestion_id=first["ingestion_id"], part=1)
    send(admin, "c>d", ingestion_id=first["ingestion_id"], part=2)
    with published() as events:
        send(admin, "c>d", ingestion_id=first["ingestion_id"], part=2)
    assert events == []
    assert (Ingestion.objects.get().parts_received, IngestionPart.objects.count()) == (2, 2)


def test_it_refuses_another_content_under_the_same_number(admin: User) -> None:
    first = send(admin, "a>b", parts=2)
    with pytest.raises(Conflict, match="different content"):
        send(admin, "x>y", ingestion_id=first["ingestion_id"], part=1)


@pytest.mark.parametrize(
    "said", [{"part": 3}, {"part": 2, "parts": 5}, {"part": 2, "discovery_source": "kubernetes"}]
)
def test_it_refuses_a_part_that_does_not_fit(admin: User, said: dict[str, Any]) -> None:
    first = send(admin, "a>b", parts=2)
    with pytest.raises(Conflict):
        send(admin, "c>d", ingestion_id=first["ingestion_id"], **said)
    assert Ingestion.objects.get().parts_received == 1


def test_it_refuses_a_first_part_beyond_the_number_of_parts(admin: User) -> None:
    with pytest.raises(Conflict, match="no part 2"):
        send(admin, "a>b", part=2)


def test_it_refuses_a_part_of_nothing(admin: User) -> None:
    with pytest.raises(NotFound):
        send(admin, "a>b", ingestion_id="01890000-0000-7000-8000-000000000000")


def test_nobody_adds_to_the_ingestion_of_another(owner: User, admin: User, team: object) -> None:
    first = send(admin, "a>b", parts=2)
    with pytest.raises(NotAllowed, match="Only sre, who started"):
        send(owner, "c>d", ingestion_id=first["ingestion_id"], part=2)


def test_a_key_makes_it_once(admin: User) -> None:
    data = {"discovery_source": "manual", "dependencies": edges("a>b")}
    first = dispatch(NAME, data, actor=acting(admin), idempotency_key="k")
    second = dispatch(NAME, data, actor=acting(admin), idempotency_key="k")
    assert (first.value, second.replayed) == (second.value, True)
    assert Ingestion.objects.count() == 1


def test_its_preview_says_what_is_sent_and_does_nothing(admin: User) -> None:
    seen = preview(NAME, {"discovery_source": "manual", "dependencies": edges("a>b")}, actor=acting(admin))
    assert isinstance(seen, Preview)
    assert [(touch.count, touch.label) for touch in seen.touches] == [(0, "services"), (1, "dependencies")]
    assert not Ingestion.objects.exists()
    assert not AuditEntry.objects.exists()


def test_of_many_bad_rows_some_are_named_and_all_are_counted(admin: User) -> None:
    with pytest.raises(InvalidInput) as refusal:
        send(admin, "a>b", services=[{"service_id": "a"}, *([{"service_id": ""}] * 5_000)])
    fields = refusal.value.fields
    assert [field.path for field in fields[:2]] == ["services.1.service_id", "services.2.service_id"]
    assert len(fields) == 300
    assert (fields[-1].path, fields[-1].message) == ("services", "4701 more values are not valid")


def test_a_bad_row_far_down_is_named_by_its_place(admin: User) -> None:
    rows = [{"service_id": f"s{number}"} for number in range(2_500)] + [{"service_id": 7}]
    with pytest.raises(InvalidInput) as refusal:
        send(admin, services=rows)
    assert [field.path for field in refusal.value.fields] == ["services.2500.service_id"]


def test_a_row_of_thousands_of_unknown_fields_is_one_problem(admin: User) -> None:
    row = {"service_id": "a"} | {f"k{number}": 1 for number in range(5_000)}
    with pytest.raises(InvalidInput) as refusal:
        send(admin, services=[row])
    assert [field.path for field in refusal.value.fields] == ["services.0"]
    assert "5,001 fields" in refusal.value.fields[0].message


def test_an_object_of_too_many_levels_is_refused(admin: User) -> None:
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"in": deep}
    with pytest.raises(InvalidInput) as refusal:
        send(admin, services=[{"service_id": "a", "metadata": deep}])
    assert [field.path for field in refusal.value.fields] == ["services.0.metadata"]
    assert "32 levels" in refusal.value.fields[0].message
