"""Setting up telemetry on one page: connect, choose, start; and what is stored, changed later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from apps.catalog.models import Service
from apps.telemetry import services, sources
from apps.telemetry.clients.prometheus.families import load_config
from apps.telemetry.models import FamilySet, StoredConnection, TelemetryRun
from tests.pages import HTMX, ROLES, client_of, text_of
from tests.telemetry.large_server import LargeServer
from tests.telemetry.prometheus_server import Reply, Server, serving

pytestmark = pytest.mark.django_db

TOKEN = "very-secret-token"
METRICS = {"orders_http_requests_total": 60, "http_requests_total": 40, "billing_requests_total": 10}
LABELS = {
    "orders_http_requests_total": {
        "app": ["basket", "payment"],
        "status": ["200", "500"],
        "env": ["production", "staging"],
    },
    "http_requests_total": {"service": ["shop", "web"], "code": ["200", "503"]},
    "billing_requests_total": {"svc": ["invoices"], "plan": ["free", "paid"]},
}


@pytest.fixture(autouse=True)
def _nothing_set(settings: Settings) -> Iterator[None]:
    settings.PROMETHEUS_URL = ""
    sources.telemetry_config.cache_clear()
    with stamina.set_testing(True, attempts=1, cap=True):
        yield
    sources.telemetry_config.cache_clear()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(LargeServer(METRICS, LABELS)) as running:
        yield running


@pytest.fixture
def admin() -> Client:
    return client_of("sre_admin")


def connect(client: Client, url: str, **more: str) -> Any:
    return client.post(reverse("telemetry-connect"), {"url": url} | more)


def looked(client: Client, url: str) -> None:
    """Connect, and do what a worker would."""
    connect(client, url)
    services.execute_run(TelemetryRun.objects.get(kind="telemetry.survey").pk)


def setup(client: Client) -> str:
    return client.get(reverse("telemetry-setup")).content.decode()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_sees_how_it_is_set_up(role: str) -> None:
    words = text_of(client_of(role).get(reverse("telemetry-setup")))
    assert "Connect your Prometheus" in words
    assert ("Connect Prometheus asks" in words) == (role == "sre_admin")


@pytest.mark.parametrize("role", ["service_owner", "auditor", "viewer"])
@pytest.mark.parametrize(
    "page", ["telemetry-connect", "telemetry-look", "telemetry-start", "telemetry-families"]
)
def test_nobody_else_may_change_it(role: str, page: str, server: Server) -> None:
    response = client_of(role).post(reverse(page), {"url": server.url, "toml": "[telemetry]"})
    assert response.status_code in {403, 409}  # before there is anything to look at, that is what is said
    assert not StoredConnection.objects.exists()
    assert not FamilySet.objects.exists()


def test_connecting_asks_the_server_keeps_it_and_looks_at_its_metrics(admin: Client, server: Server) -> None:
    response = connect(admin, server.url, token=TOKEN)
    assert response["Location"] == reverse("telemetry-setup") + "#found"
    assert TelemetryRun.objects.get(kind="telemetry.survey").state == TelemetryRun.State.PENDING
    page = setup(admin)
    assert server.url in page
    assert "every 1s" in page
    assert TOKEN not in page


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(body=b"no", status=401), "Check the token"),
        (Reply(body=b"gone", status=404), "The address must be"),
    ],
)
def test_what_refuses_is_not_kept_and_the_form_says_why(admin: Client, reply: Reply, words: str) -> None:
    with serving(lambda _path, _form: reply) as running:
        response = admin.post(
            reverse("telemetry-connect"), {"url": running.url, "token": TOKEN, "org_id": "shop"}, headers=HTMX
        )
    assert response.status_code == 422
    page = response.content.decode()
    assert page.lstrip().startswith('<section class="panel" id="connect"')
    assert words in text_of(response)
    assert 'value="shop"' in page
    assert TOKEN not in page
    assert not StoredConnection.objects.exists()


def test_what_is_no_address_is_said_at_the_form(admin: Client) -> None:
    response = connect(admin, "prometheus:9090")
    assert response.status_code == 422
    assert "The address must begin with http:// or https://" in text_of(response)


def test_proposals_are_shown_with_their_evidence(admin: Client, server: Server) -> None:
    looked(admin, server.url)
    words = text_of(admin.get(reverse("telemetry-setup")))
    assert "orders_http_requests_total by app: 2 services, failures by status (200, 500)" in words
    assert re.search(r"http_requests_total . read already", words)
    assert "2 services exist several times by env : read" in words


def test_the_environment_is_chosen_beforehand_where_one_is_production(admin: Client, server: Server) -> None:
    looked(admin, server.url)
    assert re.search(r'<option value="production" selected>', setup(admin))


def start(client: Client, **values: str) -> Any:
    page = setup(client)
    given = dict(re.findall(r'name="((?:take|label|unit|place)-[\d-]+)" value="([^"]*)"', page))
    taken = set(re.findall(r'name="(take-\d+)" value="true" checked', page))
    data = {name: value for name, value in given.items() if not name.startswith("take") or name in taken}
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    return client.post(reverse("telemetry-start"), {"version": version[1], "days": "7"} | data | values)


def number_of(page: str, metric: str) -> str:
    found = re.search(rf'for="take-(\d+)"><input[^>]*> <b class="mono">{metric}</b>', page)
    assert found
    return found[1]


def test_starting_stores_what_is_ticked_and_reads_the_past(admin: Client, server: Server) -> None:
    looked(admin, server.url)
    number = number_of(setup(admin), "orders_http_requests_total")
    response = start(admin, **{f"place-{number}-0": "production"})
    assert response["Location"] == reverse("telemetry-setup") + "#started"
    stored = FamilySet.objects.get().by_name
    assert list(stored) == ["orders-http-requests"]
    assert stored["orders-http-requests"]["where"] == ["env!=staging"]
    run = TelemetryRun.objects.get(kind="telemetry.backfill")
    assert run.parameters == {"days": 7, "discover": True}
    assert sources.telemetry_config().order[0] == "orders-http-requests"


def test_what_is_changed_in_the_form_is_what_is_stored(admin: Client, server: Server) -> None:
    looked(admin, server.url)
    page = setup(admin)
    number = number_of(page, "billing_requests_total")
    start(admin, **{
        f"take-{number}": "true", f"label-{number}": "plan", f"failures-{number}": "billing_errors_total\nplan=~free",
        f"where-{number}": "region=eu",
    })  # fmt: skip
    family = FamilySet.objects.get().by_name["billing-requests"]
    assert family["service_label"] == "plan"
    assert family["where"] == ["region=eu"]
    assert family["bad"] == [
        {"metric": "billing_errors_total"}, {"metric": "billing_requests_total", "where": ["plan=~free"]},
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["other", "a%0Ab", "%00"])
def test_no_other_file_can_be_downloaded(admin: Client, name: str) -> None:
    assert admin.get(f"/telemetry/setup/{name}.toml").status_code in {400, 404}


@pytest.mark.parametrize("text", ["a = " + "9" * 5_000, "a = " + "[" * 5_000, "a"])
def test_what_is_no_toml_is_said(admin: Client, text: str) -> None:
    response = admin.post(reverse("telemetry-families"), {"toml": text, "version": "9" * 5_000})
    assert response.status_code == 422
    assert "not valid TOML" in text_of(response)


def test_what_cannot_be_used_is_said_where_it_was_written(admin: Client, server: Server) -> None:
    looked(admin, server.url)
    number = number_of(setup(admin), "orders_http_requests_total")
    response = start(admin, **{f"label-{number}": "two words"})
    assert response.status_code == 422
    assert "is not a label name" in text_of(response)
    assert 'value="two words"' in response.content.decode()
    assert not FamilySet.objects.exists()
    assert not TelemetryRun.objects.filter(kind="telemetry.backfill").exists()


def test_with_built_in_families_alone_nothing_needs_to_be_stored(admin: Client) -> None:
    only = {"http_requests_total": METRICS["http_requests_total"]}
    with serving(LargeServer(only, LABELS)) as server:
        looked(admin, server.url)
        start(admin)
    assert not FamilySet.objects.exists()
    assert TelemetryRun.objects.filter(kind="telemetry.backfill").exists()


def test_nothing_found_says_what_to_do(admin: Client) -> None:
    with serving(LargeServer({"temperature_celsius": 3})) as server:
        looked(admin, server.url)
    assert "No metric that counts requests was found" in setup(admin)


def test_a_look_that_failed_says_why(admin: Client, server: Server) -> None:
    connect(admin, server.url)
    run = TelemetryRun.objects.get(kind="telemetry.survey")
    TelemetryRun.objects.filter(pk=run.pk).update(state="failed", summary={"failure": "the server went away"})
    assert "The last survey failed: the server went away" in text_of(admin.get(reverse("telemetry-setup")))


@pytest.mark.parametrize("part", ["found", "started"])
def test_a_part_refreshes_itself(admin: Client, part: str) -> None:
    response = admin.get(reverse("telemetry-setup"), {"part": part}, headers=HTMX)
    assert response.content.decode().lstrip().startswith(f'<section class="panel" id="{part}"')


TOML = """
[telemetry.families.orders]
service_label = "app"
total = { metric = "orders_total" }
bad = [{ metric = "orders_failed_total" }]
"""


def test_stored_families_are_changed_and_taken_away_as_text(admin: Client, server: Server) -> None:
    looked(admin, server.url)
    address = reverse("telemetry-families")
    shown = admin.post(address, {"toml": TOML, "version": "0", "preview": "1"})
    assert "Store 1 metric family: 1 new" in text_of(shown)
    assert not FamilySet.objects.exists()
    admin.post(address, {"toml": TOML, "version": "0"})
    version = FamilySet.objects.get().pk
    assert "orders_total" in setup(admin)
    stale = admin.post(address, {"toml": "[telemetry]", "version": "0"})
    assert stale.status_code == 409
    assert "Somebody has stored other families since" in text_of(stale)
    admin.post(address, {"toml": "[telemetry]", "version": str(version)})
    assert sources.telemetry_config() == load_config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[telemetry", "not valid TOML"),
        ("[telemetry]\ntimeout_seconds = 3", "timeout_seconds"),
        ("[elsewhere]", "elsewhere"),
        ("telemetry = 3", "Write only [telemetry]"),
        ('[telemetry.families.x]\nservice_label = "app"', "total is missing"),
        ('[telemetry.families.x]\nlike = "http"', "like"),
    ],
)
def test_a_text_that_cannot_be_used_comes_back_with_what_is_wrong(
    admin: Client, text: str, words: str
) -> None:
    response = admin.post(reverse("telemetry-families"), {"toml": text, "version": "0"})
    assert response.status_code == 422
    assert words in text_of(response)


@pytest.mark.parametrize("what", ["recommended", "stored"])
def test_files_are_what_ballast_can_read(admin: Client, server: Server, what: str, tmp_path: Any) -> None:
    looked(admin, server.url)
    start(admin)
    response = admin.get(reverse("telemetry-families-file", args=[what]))
    assert response["Content-Disposition"] == f'attachment; filename="ballast-{what}.toml"'
    path = tmp_path / "ballast.toml"
    path.write_bytes(response.content)
    assert load_config(path).families["orders-http-requests"].service_label == "app"


def test_the_environment_is_said_to_win(admin: Client, server: Server, settings: Settings) -> None:
    settings.PROMETHEUS_URL = server.url
    words = text_of(admin.get(reverse("telemetry-setup")))
    assert "overrides a connection made here" in words
    assert connect(admin, server.url).status_code == 409


def test_once_it_is_read_the_page_leads_to_the_recommendations(admin: Client, server: Server) -> None:
    looked(admin, server.url)
    TelemetryRun.objects.create(
        kind="telemetry.backfill", source="prometheus", state="completed", parameters={"discover": True},
        summary={"services": 2, "services_with_data": 2, "hours": 48, "latency_hours": 0}, requested_by_name="me",
    )  # fmt: skip
    Service.objects.create(service_id="basket")
    page = setup(admin)
    assert f'href="{reverse("recommendations")}"' in page
    assert "2 of 2 services have data" in text_of(admin.get(reverse("telemetry-setup")))
