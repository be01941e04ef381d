"""The room of imports: what came in, and the two forms that bring more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from apps.catalog.models import Ingestion
from apps.core.models import AuditEntry
from apps.telemetry.models import TelemetryRun
from tests.pages import ROLES, client_of, text_of

QUERIES = 14


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def csv_file(name: str = "services.csv", text: str = "service_id\napi\n") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode(), content_type="text/csv")


def send(client: Client, *files: SimpleUploadedFile) -> Any:
    return client.post(reverse("import-files"), {"files": list(files)})


def send_graph(client: Client, document: object) -> Any:
    text = document if isinstance(document, str) else json.dumps(document)
    file = SimpleUploadedFile("graph.json", text.encode(), content_type="application/json")
    return client.post(reverse("import-graph"), {"graph": file})


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_it(db: None, role: str) -> None:
    assert client_of(role).get(reverse("ingestions")).status_code == 200


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(db: None, client: Client) -> None:
    for response in (client.get(reverse("ingestions")), send(client, csv_file()), send_graph(client, {})):
        assert response["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_who_may_not_import_sees_no_form_and_who_may(db: None, role: str) -> None:
    response = client_of(role).get(reverse("ingestions"))
    assert 'type="file"' not in response.content.decode()
    assert "An SRE admin may import files." in text_of(response)
    assert "An SRE admin or a service owner may import a graph." in text_of(response)


def test_files_are_kept_and_a_run_is_asked_for(db: None, tmp_path: Path) -> None:
    response = send(client_of("sre_admin"), csv_file(), csv_file("dependencies.csv", "source,target\na,b\n"))
    run = TelemetryRun.objects.get()
    assert response["Location"] == reverse("run", args=[run.pk])
    assert sorted(path.name for path in Path(run.parameters["path"]).iterdir()) == [
        "dependencies.csv",
        "services.csv",
    ]
    assert Path(run.parameters["path"]).is_relative_to(tmp_path)
    assert AuditEntry.objects.get().action == "telemetry.import"


def test_names_in_capitals_are_kept_under_those_of_the_format(db: None) -> None:
    send(client_of("sre_admin"), csv_file("SERVICES.CSV"))
    folder = Path(TelemetryRun.objects.get().parameters["path"])
    assert [path.name for path in folder.iterdir()] == ["services.csv"]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "Choose at least one file."),
        (["notes.txt"], "notes.txt is none of services.csv"),
        (["sli.csv", "SLI.CSV"], "sli.csv was chosen twice."),
        (["sli (1).csv"], "Rename it to sli.csv if that is what it is."),
    ],
)
def test_files_that_cannot_be_imported_are_named(
    db: None, tmp_path: Path, names: list[str], complaint: str
) -> None:
    response = send(client_of("sre_admin"), *(csv_file(name) for name in names))
    assert response.status_code == 422
    assert complaint in text_of(response)
    assert not TelemetryRun.objects.exists()
    assert not (tmp_path / "imports").exists()


@pytest.mark.parametrize("role", ["viewer", "auditor", "service_owner"])
def test_files_of_somebody_who_may_not_import_are_not_kept(db: None, tmp_path: Path, role: str) -> None:
    assert send(client_of(role), csv_file()).status_code == 403
    assert not (tmp_path / "imports").exists()


def test_a_graph_becomes_an_ingestion_with_its_page(db: None) -> None:
    graph = {"dependencies": [{"source": "a", "target": "b"}]}
    response = send_graph(client_of("service_owner"), graph)
    assert response["Location"] == reverse("run", args=[Ingestion.objects.get().pk])


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{not json", "graph.json is not JSON"),
        ([1, 2], "it must be an object with services and dependencies"),
        ({"dependencies": "many"}, "dependencies"),
        (
            {"services": [{"service_id": "a", "criticality": "urgent"}]},
            "services.0.criticality: 'urgent' is not possible; write critical, high, medium or low",
        ),
    ],
)
def test_a_graph_that_cannot_be_read_says_why(db: None, document: object, complaint: str) -> None:
    response = send_graph(client_of("sre_admin"), document)
    assert response.status_code == 422
    assert complaint in text_of(response)
    assert not Ingestion.objects.exists()


def test_a_viewer_may_not_import_a_graph(db: None) -> None:
    assert send_graph(client_of("viewer"), {"dependencies": []}).status_code == 403
    assert not Ingestion.objects.exists()


def test_what_came_in_is_listed_with_its_fate(db: None) -> None:
    Ingestion.objects.create(discovery_source="manual", requested_by_name="<i>olga</i>", state="failed")
    TelemetryRun.objects.create(
        kind="telemetry.import", source="files", requested_by_name="sam", state="completed"
    )
    TelemetryRun.objects.create(kind="telemetry.collection", source="prometheus", requested_by_name="clock")
    response = client_of("viewer").get(reverse("ingestions"))
    words = text_of(response)
    assert "<i>olga</i>" in words
    assert "<i>olga" not in response.content.decode()
    assert "failed" in words
    assert "sam" in words
    assert "clock" not in words


def test_it_asks_as_much_for_few_imports_as_for_many(db: None) -> None:
    client = client_of("sre_admin")

    def queries() -> int:
        client.get(reverse("ingestions"))
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("ingestions"))
        return len(captured)

    def add(amount: int) -> None:
        for _ in range(amount):
            Ingestion.objects.create(discovery_source="manual", requested_by_name="olga")
            TelemetryRun.objects.create(kind="telemetry.import", source="files", requested_by_name="sam")

    add(1)
    few = queries()
    add(20)
    assert queries() == few <= QUERIES
