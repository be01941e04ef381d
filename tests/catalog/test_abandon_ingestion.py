"""Giving up an ingestion that has not been applied."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import User
from apps.catalog.ingesting import ingestion
from apps.catalog.ingesting.reporting import ingestion_state
from apps.catalog.models import Ingestion, Service
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEntry
from tests.catalog.conftest import acting, edges

NAME = "catalog.abandon_ingestion"


def begin(user: User, **said: Any) -> Ingestion:
    data = {"discovery_source": "manual", "dependencies": edges("a>b"), **said}
    answer = dispatch("catalog.ingest_dependencies", data, actor=acting(user)).value
    return Ingestion.objects.get(pk=answer["ingestion_id"])


@pytest.mark.parametrize("parts", [1, 2])
def test_it_drops_what_was_sent(admin: User, parts: int) -> None:
    sent = begin(admin, parts=parts)
    dispatch(NAME, {"ingestion_id": str(sent.pk), "rationale": "wrong file"}, actor=acting(admin))
    sent.refresh_from_db()
    assert sent.state == Ingestion.State.CANCELLED
    assert ingestion_state(sent) == "abandoned"
    assert sent.parts.get().payload == {}
    assert ingestion.run(sent.pk) is None
    assert not Service.objects.exists()
    assert AuditEntry.objects.get(action=NAME).rationale == "wrong file"


def test_it_refuses_one_that_is_over(admin: User) -> None:
    sent = begin(admin)
    ingestion.run(sent.pk)
    with pytest.raises(Conflict, match="is completed"):
        dispatch(NAME, {"ingestion_id": str(sent.pk)}, actor=acting(admin))


def test_it_rejects_a_viewer(admin: User, viewer: User) -> None:
    sent = begin(admin, parts=2)
    with pytest.raises(NotAllowed):
        dispatch(NAME, {"ingestion_id": str(sent.pk)}, actor=acting(viewer))


def test_it_rejects_an_owner_who_did_not_begin_it(admin: User, owner: User) -> None:
    sent = begin(admin, parts=2)
    with pytest.raises(NotAllowed, match="Only sre"):
        dispatch(NAME, {"ingestion_id": str(sent.pk)}, actor=acting(owner))
    sent.refresh_from_db()
    assert sent.state == Ingestion.State.PREPARING


def test_its_preview_does_nothing(admin: User) -> None:
    sent = begin(admin, parts=2)
    seen = preview(NAME, {"ingestion_id": str(sent.pk)}, actor=acting(admin))
    assert "1 rows received so far are dropped" in seen.summary
    sent.refresh_from_db()
    assert sent.state == Ingestion.State.PREPARING
