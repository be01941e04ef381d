"""Who may read telemetry in, what is recorded of it, and from where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.fixtures import Settings

from apps.accounts.models import User
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import BallastError, InvalidInput, NotAllowed
from apps.core.models import AuditEntry, OutboxEvent
from apps.core.runs.starting import RING
from apps.telemetry.models import TelemetryRun
from apps.telemetry.sources import NoSource

pytestmark = pytest.mark.django_db


def person(role: str, source: AuditEntry.Source = AuditEntry.Source.WEB) -> Actor:
    user, _ = User.objects.get_or_create(username=role, defaults={"role": role})
    return Actor.person(user, source)


@pytest.fixture(autouse=True)
def _configured(settings: Settings, tmp_path: Path) -> None:
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    settings.DATA_DIR = tmp_path


def test_a_backfill_is_recorded_audited_and_handed_to_a_worker() -> None:
    Service.objects.create(service_id="shop")
    result = dispatch(
        "telemetry.backfill",
        {"days": 7, "end": "2023-08-23T10:30:00Z", "services": ["shop"]},
        actor=person("sre_admin"),
    )
    run = TelemetryRun.objects.get(pk=result.value["run"])
    assert run.state == TelemetryRun.State.PENDING
    assert run.window_start is not None
    assert run.window_start.isoformat() == "2023-08-16T10:00:00+00:00"
    assert run.requested_by_name == "sre_admin"
    entry = AuditEntry.objects.get(action="telemetry.backfill")
    assert entry.object_id == str(run.pk)
    assert entry.after is not None
    assert entry.after["services"] == ["shop"]
    assert OutboxEvent.objects.get(topic=RING).payload == {"run": str(run.pk)}


def test_trusting_a_backfill_is_told_before_and_audited_after() -> None:
    shown = preview("telemetry.backfill", {"days": 7, "trust": True}, actor=person("sre_admin"))
    assert "replaces stored hours" in shown.warnings[0]
    assert "gone" in shown.undo
    usual = preview("telemetry.backfill", {"days": 7}, actor=person("sre_admin"))
    assert usual.warnings == []
    assert "until another reading agrees" in usual.undo
    result = dispatch("telemetry.backfill", {"days": 7, "trust": True}, actor=person("sre_admin"))
    assert TelemetryRun.objects.get(pk=result.value["run"]).parameters == {"days": 7, "trust": True}
    entry = AuditEntry.objects.get(action="telemetry.backfill")
    assert entry.after is not None
    assert entry.after["trust"] is True


@pytest.mark.parametrize("role", ["service_owner", "auditor", "viewer"])
@pytest.mark.parametrize("action", ["telemetry.backfill", "telemetry.import"])
def test_it_rejects_everybody_but_an_admin(role: str, action: str, tmp_path: Path) -> None:
    data: dict[str, Any] = {"path": str(tmp_path / "imports")} if action == "telemetry.import" else {}
    for call in (dispatch, preview):
        with pytest.raises(NotAllowed, match="SRE admin"):
            call(action, data, actor=person(role))
    assert not TelemetryRun.objects.exists()


def test_a_backfill_of_services_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ghost"):
        dispatch("telemetry.backfill", {"services": ["ghost"]}, actor=person("sre_admin"))


@pytest.mark.parametrize("days", [0, -1, 732, "many"])
def test_a_backfill_of_no_or_too_many_days_is_refused(days: object) -> None:
    with pytest.raises(InvalidInput):
        dispatch("telemetry.backfill", {"days": days}, actor=person("sre_admin"))


def test_a_backfill_never_reaches_past_the_newest_complete_hour() -> None:
    result = dispatch("telemetry.backfill", {"end": "2090-01-01T00:00:00Z"}, actor=person("sre_admin"))
    run = TelemetryRun.objects.get(pk=result.value["run"])
    assert run.window_end is not None
    assert run.window_end <= run.created_at


def test_a_backfill_without_a_source_is_refused(settings: Settings) -> None:
    settings.PROMETHEUS_URL = ""
    with pytest.raises(NoSource, match="PROMETHEUS_URL"):
        dispatch("telemetry.backfill", {}, actor=person("sre_admin"))


def test_a_preview_says_what_would_be_read_and_leaves_no_trace() -> None:
    Service.objects.create(service_id="shop")
    shown = preview(
        "telemetry.backfill", {"days": 3, "end": "2023-08-23T10:00:00Z"}, actor=person("sre_admin")
    )
    assert "2023-08-20 10:00 to 2023-08-23 10:00" in shown.summary
    assert shown.touches[0].count == 1
    assert not TelemetryRun.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("source", [AuditEntry.Source.WEB, AuditEntry.Source.API])
@pytest.mark.parametrize("path", ["/etc", "{data}", "{data}/imports/../../etc", "{data}/imports-not"])
def test_over_the_network_no_other_folder_can_be_read(
    source: AuditEntry.Source, path: str, tmp_path: Path
) -> None:
    with pytest.raises(NotAllowed, match="imports"):
        dispatch("telemetry.import", {"path": path.format(data=tmp_path)}, actor=person("sre_admin", source))


def test_a_link_out_of_the_import_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "imports").mkdir()
    (tmp_path / "imports" / "way-out").symlink_to("/etc")
    with pytest.raises(NotAllowed):
        dispatch(
            "telemetry.import", {"path": str(tmp_path / "imports" / "way-out")}, actor=person("sre_admin")
        )


def test_an_import_below_the_import_folder_is_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "imports" / "monday"
    folder.mkdir(parents=True)
    (folder / "services.csv").write_text("")
    shown = preview("telemetry.import", {"path": str(folder)}, actor=person("sre_admin"))
    assert shown.touches[0].names == ["services.csv"]
    result = dispatch("telemetry.import", {"path": str(folder)}, actor=person("sre_admin"))
    run = TelemetryRun.objects.get(pk=result.value["run"])
    assert (run.what, run.parameters) == ("import", {"path": str(folder)})


def test_the_same_key_asks_for_one_run() -> None:
    for _ in range(2):
        dispatch("telemetry.backfill", {"days": 1}, actor=person("sre_admin"), idempotency_key="monday")
    assert TelemetryRun.objects.count() == 1


def test_no_source_is_an_expected_error() -> None:
    assert issubclass(NoSource, BallastError)


def test_that_no_source_is_set_up_conflicts_with_the_request_and_does_not_pass_by_itself() -> None:
    assert NoSource.status == 409


@pytest.mark.parametrize("path", ["{data}/imports/\0", "{data}/imports/" + "a" * 300])
def test_a_path_that_cannot_be_one_is_no_error_of_ours(path: str, tmp_path: Path) -> None:
    data = {"path": path.format(data=tmp_path)}
    if "\0" in path:
        with pytest.raises(NotAllowed):
            preview("telemetry.import", data, actor=person("sre_admin"))
    else:
        assert preview("telemetry.import", data, actor=person("sre_admin")).warnings


@pytest.mark.parametrize(
    "body", [b"[" * 5_000 + b"]" * 5_000, b'{"services": ' + b"9" * 5_000 + b"}", b"\xff", b"{"]
)
def test_an_uploaded_graph_that_is_no_json_is_refused(client: Client, body: bytes) -> None:
    client.force_login(User.objects.create_user("eve", role="sre_admin"))
    response = client.post("/imports/graph/", {"graph": SimpleUploadedFile("graph.json", body)})
    assert response.status_code == 422
