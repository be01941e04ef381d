"""Connecting a Prometheus: who may, what is asked, and that no secret ever comes out again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpcore
import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from apps.accounts.models import User
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import BallastError, Conflict, InvalidInput, NotAllowed
from apps.core.models import AuditEntry, OutboxEvent
from apps.telemetry import checks, sources
from apps.telemetry.clients.errors import SourceRefused
from apps.telemetry.clients.prometheus.bounded import bound
from apps.telemetry.models import StoredConnection
from apps.telemetry.setup import sealing
from tests.telemetry.prometheus_server import Form, Reply, Server, serving, success

pytestmark = pytest.mark.django_db

TOKEN = "glsa_very-secret-token"


def person(role: str = "sre_admin") -> Actor:
    user, _ = User.objects.get_or_create(username=role, defaults={"role": role})
    return Actor.person(user, AuditEntry.Source.WEB)


def answers(path: str, form: Form) -> Reply:
    if path.endswith("buildinfo"):
        return success({"version": "2.53.1", "application": "Grafana Mimir"})
    if path.endswith("__name__/values"):
        return success(["http_requests_total", "go_goroutines"])
    if form["query"][0].startswith("count("):
        return success({"resultType": "vector", "result": [{"metric": {}, "value": [0, "8"]}]})
    services = [{"metric": {"service": name}, "value": [0, "4"]} for name in ("shop", "web")]
    return success({"resultType": "vector", "result": services})


@pytest.fixture(autouse=True)
def _nothing_set(settings: Settings) -> Iterator[None]:
    settings.PROMETHEUS_URL = ""
    sources.telemetry_config.cache_clear()
    with stamina.set_testing(True, attempts=1, cap=True):
        yield


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(answers) as running:
        yield running


def connect(url: str, **credentials: Any) -> None:
    dispatch("telemetry.connect", {"url": url, "credentials": credentials}, actor=person())


def test_what_is_connected_is_read_from_by_every_process(server: Server) -> None:
    assert not sources.is_configured()
    connect(server.url, token=TOKEN, org_id="shop")
    assert sources.is_configured()
    checks.source_check()
    asked = server.asked[-1]
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["X-Scope-OrgID"] == "shop"


def test_the_preview_asks_the_server_and_says_what_it_is(server: Server) -> None:
    shown = preview("telemetry.connect", {"url": server.url}, actor=person())
    assert "Mimir 2.53.1 answers with 2 metrics" in shown.summary
    assert "http" in shown.touches[0].names
    assert list(shown.touches[1].names) == ["shop", "web"]
    assert not shown.warnings
    assert not StoredConnection.objects.exists()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(body=b"no", status=401), "Check the token and the tenant"),
        (Reply(body=b"no org id", status=401), "The tenant must name a tenant"),
        (Reply(body=b"<html><title>Sign in</title>", content_type="text/html"), "Sign in"),
        (Reply(body=b"", status=302, headers={"Location": "https://sso.example.org/"}), "redirects to"),
        (Reply(body=b"not here", status=404), "The address must be the address under which"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_form(reply: Reply, words: str) -> None:
    with serving(lambda _path, _form: reply) as running:
        shown = preview("telemetry.connect", {"url": running.url}, actor=person())
    assert words in shown.warnings[0]
    assert "PROMETHEUS_" not in shown.warnings[0]


def test_no_secret_stands_in_the_database_the_audit_trail_or_an_event(server: Server) -> None:
    url = server.url.replace("http://", "http://me:p%40ss-in-url@")
    connect(url, org_id="shop")
    connect(server.url, token=TOKEN)
    written = [
        *StoredConnection.objects.values_list("url", "user", "sealed_token", "sealed_password"),
        *AuditEntry.objects.values_list("before", "after", "object_label"),
        *OutboxEvent.objects.values_list("payload"),
    ]
    text = json.dumps([[str(value) for value in row] for row in written])
    assert TOKEN not in text
    assert "p@ss-in-url" not in text
    assert "p%40ss" not in text
    last = AuditEntry.objects.filter(action="telemetry.connect").order_by("pk").last()
    assert last is not None
    assert last.after
    assert last.before == {
        "url": server.url, "org_id": "shop", "user": "me", "password": "kept, not shown", "token": "none",
    }  # fmt: skip
    assert last.after["token"] == "kept, not shown"


def test_a_user_in_the_address_is_kept_apart(server: Server) -> None:
    connect(server.url.replace("http://", "http://me:p%40ss@"))
    found = sources.connection()
    assert found is not None
    assert (found.url, found.user, found.password) == (server.url, "me", "p@ss")


def test_former_secrets_are_forgotten(server: Server) -> None:
    connect(server.url, token=TOKEN)
    connect(server.url)
    assert StoredConnection.objects.filter(sealed_token="").count() == 2


def test_disconnecting_forgets_everything(server: Server) -> None:
    connect(server.url, token=TOKEN)
    dispatch("telemetry.disconnect", {}, actor=person())
    assert not sources.is_configured()
    assert not StoredConnection.objects.exclude(sealed_token="").exists()
    with pytest.raises(Conflict, match="No Prometheus is connected"):
        dispatch("telemetry.disconnect", {}, actor=person())


def test_the_environment_wins_and_its_secrets_stay_with_its_address(
    server: Server, settings: Settings
) -> None:
    connect(server.url, token="stored")
    settings.PROMETHEUS_TOKEN = "of-the-environment"
    found = sources.connection()
    assert found is not None
    assert found.token == "stored"
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    found = sources.connection()
    assert found is not None
    assert (found.url, found.token) == ("http://127.0.0.1:9", "of-the-environment")
    with pytest.raises(Conflict, match="the environment overrides"):
        connect(server.url)


@pytest.mark.parametrize("role", ["service_owner", "auditor", "viewer"])
@pytest.mark.parametrize(
    "action", ["telemetry.connect", "telemetry.disconnect", "telemetry.survey", "telemetry.store_families"]
)
def test_only_an_admin_may(role: str, action: str) -> None:
    data = {"telemetry.connect": {"url": "http://127.0.0.1:9"}, "telemetry.store_families": {"families": []}}
    with pytest.raises(NotAllowed, match="an SRE admin"):
        dispatch(action, data.get(action, {}), actor=person(role))


@pytest.mark.parametrize(
    "url",
    ["ftp://prometheus", "file:///etc/passwd", "prometheus:9090", "http://", "http://host:port", "http://h/?a=b",
     "http://h/#x", "javascript:alert(1)", "http://a b/", "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        connect(url)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_a_cloud_s_metadata_are_not_asked(host: str) -> None:
    shown = preview("telemetry.connect", {"url": f"http://{host}"}, actor=person())
    assert "link-local" in shown.warnings[0]


def test_a_name_that_turns_out_to_be_a_cloud_s_metadata_is_sent_nothing() -> None:
    class Metadata(httpcore.MockStream):
        def get_extra_info(self, info: str) -> Any:
            return ("169.254.169.254", 80) if info == "server_addr" else None

    class Network(httpcore.MockBackend):
        def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
            return Metadata([b"HTTP/1.1 200 OK\r\n\r\n"])

    transport = httpx.HTTPTransport()
    transport._pool._network_backend = Network([])
    client = bound(httpx.Client(transport=transport), may_be_link_local=False)
    with client, pytest.raises(SourceRefused, match="link-local"):
        client.get("http://metadata.example.org")


def test_what_was_connected_is_not_asked_either_where_it_is_a_cloud_s_metadata() -> None:
    connect("http://169.254.169.254")
    found = checks.source_check()
    assert not found["is_up"]
    assert "link-local" in found["detail"]


def test_the_same_key_with_another_secret_is_another_request(server: Server) -> None:
    def connect_once(data: dict[str, Any]) -> bool:
        return dispatch("telemetry.connect", data, actor=person(), idempotency_key="once").replayed

    first = {"url": server.url.replace("//", "//me:one@")}
    assert not connect_once(first)
    assert connect_once(first)
    for other in (
        {"url": server.url.replace("//", "//me:two@")},
        {"url": server.url, "credentials": {"token": "x"}},
    ):
        with pytest.raises(Conflict, match="different request"):
            connect_once(other)


@pytest.mark.parametrize("field", ["user", "org_id"])
def test_what_cannot_be_sent_is_refused(field: str) -> None:
    for text in ("a\0b", "a\nb"):
        with pytest.raises(InvalidInput):
            connect("http://127.0.0.1:9", **{field: text})


def test_another_secret_key_is_said_to_be_the_trouble(server: Server, settings: Settings) -> None:
    connect(server.url, token=TOKEN)
    former, settings.SECRET_KEY = settings.SECRET_KEY, "another-secret-of-more-than-32-characters"
    with pytest.raises(BallastError, match="Connect it again"):
        sources.prometheus_source()
    assert "Connect it again" in checks.source_check()["detail"]
    settings.SECRET_KEY_FALLBACKS = [former]
    found = sources.connection()
    assert found is not None
    assert found.token == TOKEN


def test_a_token_and_a_user_are_not_both_taken() -> None:
    with pytest.raises(InvalidInput, match=r"not valid"):
        connect("http://127.0.0.1:9", token="x", user="me")


@hypothesis_settings(max_examples=50, deadline=None)
@given(
    st.text(min_size=1, max_size=200).filter(
        lambda text: not any("\ud800" <= one <= "\udfff" for one in text)
    )
)
def test_what_is_sealed_is_unreadable_and_comes_back_whole(text: str) -> None:
    sealed = sealing.seal(text)
    assert sealing.unseal(sealed) == text
    assert len(text) < 4 or text not in sealed
    with pytest.raises(sealing.Unreadable):
        sealing.unseal(sealed[:-8] + "AAAAAAA=")


def test_nothing_needs_no_seal() -> None:
    assert sealing.seal("") == sealing.unseal("") == ""
