"""Connects Ballast to a Prometheus and disconnects it. Secrets that go in never come out."""

from __future__ import annotations

from typing import Annotated, Self, TypedDict
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings
from django.utils.crypto import salted_hmac
from pydantic import ConfigDict, Field, SecretStr, field_serializer, field_validator, model_validator

from apps.core.actions import (
    Action,
    ActionInput,
    Call,
    Event,
    FieldChange,
    Outcome,
    Preview,
    Risk,
    Touch,
    register,
)
from apps.core.errors import Conflict
from apps.telemetry import sources
from apps.telemetry.models import StoredConnection
from apps.telemetry.setup import sealing, stored, surveys

MAX_ADDRESS = 2_000
_NAMES_SHOWN = 10
OBJECT = ("telemetry.connection", "prometheus")
_ON_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"


def address_problem(url: str) -> str:
    """Return why a text is no address of a Prometheus, or an empty string. The reason does not repeat the text."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not an address; write one such as http://prometheus:9090"
    if parts.scheme not in {"http", "https"}:
        return "must begin with http:// or https://"
    if not host:
        return "names no host; write an address such as http://prometheus:9090"
    if parts.query or parts.fragment:
        return "must not have a ? or #; write the address under which /api/v1/query is found"
    if not url.isprintable() or " " in url:
        return "contains a character that no address has"
    return ""


class Credentials(ActionInput):
    """The credentials that the server requires. They are never shown again."""

    model_config = ConfigDict(str_strip_whitespace=True, extra="forbid")

    token: Annotated[SecretStr, Field(max_length=8_000, description="Sent as a bearer token.")] = SecretStr(
        ""
    )
    user: Annotated[
        str,
        Field(
            max_length=200,
            pattern=_ON_ONE_LINE,
            description="For basic authentication, where there is no token.",
        ),
    ] = ""
    password: Annotated[SecretStr, Field(max_length=2_000, description="For the user.")] = SecretStr("")
    org_id: Annotated[
        str,
        Field(
            max_length=200,
            pattern=_ON_ONE_LINE,
            description="Sent as `X-Scope-OrgID`, which names the tenant of Mimir.",
        ),
    ] = ""

    @field_serializer("token", "password", when_used="json")
    def _as_fingerprint(self, secret: SecretStr) -> str:
        # Two requests with one idempotency key are the same only if their secrets are the same.
        text = secret.get_secret_value()
        return salted_hmac(OBJECT[0], text, algorithm="sha256").hexdigest() if text else ""

    @model_validator(mode="after")
    def _token_or_user(self) -> Self:
        if self.token.get_secret_value() and self.user:
            raise ValueError("takes a token, or a user with a password, not both")
        return self


class ConnectInput(ActionInput):
    """An address, and the credentials for it."""

    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_ADDRESS,
            repr=False,
            json_schema_extra={"format": "uri"},
            description="The address under which `/api/v1/query` is found, such as "
            "http://prometheus:9090; for Mimir it usually "
            "ends in /prometheus. A user and password in it are removed and stored separately.",
        ),
    ]
    credentials: Credentials = Credentials()

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        problem = address_problem(url)
        if problem:
            raise ValueError(problem)
        return url

    @field_serializer("url", when_used="json")
    def _without_password(self, url: str) -> str:
        found = self.connection()
        known = salted_hmac(OBJECT[0], f"{found.user}\n{found.password}", algorithm="sha256").hexdigest()
        return f"{known} {found.url}" if "@" in url else url

    def connection(self) -> sources.Connection:
        """Return the connection, with user and password taken out of the address."""
        parts = urlsplit(self.url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        given = self.credentials
        return sources.Connection(
            urlunsplit(bare).rstrip("/"),
            given.token.get_secret_value(),
            given.user or unquote(parts.username or ""),
            given.password.get_secret_value() or unquote(parts.password or ""),
            given.org_id,
        )


class ConnectionRecord(TypedDict):
    """What may be shown of a connection: whether it has secrets, but not the secrets."""

    url: str
    org_id: str
    user: str
    password: str
    token: str


@register
class Connect(Action[ConnectInput, ConnectionRecord]):
    """Read telemetry from this Prometheus from now on. Token and password are encrypted and never shown again."""

    name = "telemetry.connect"
    title = "Connect Prometheus"
    permission = "telemetry.configure"
    risk = Risk.MEDIUM
    Input = ConnectInput

    def target(self, data: ConnectInput, *, lock: bool) -> None:
        if lock:
            stored.lock()

    def guard(self, call: Call[ConnectInput]) -> None:
        _refuse_where_the_environment_says()

    def preview(self, call: Call[ConnectInput]) -> Preview:
        wanted = call.input.connection()
        tried = surveys.try_out(wanted)
        before = stored.newest_connection()
        summary = (
            f"Read telemetry from {wanted.url}. {tried.words}"
            if tried.is_up
            else f"{wanted.url} cannot be read now."
        )
        return Preview(
            summary=summary,
            changes=[
                FieldChange(label, old, new) for label, old, new in _differences(before, wanted) if old != new
            ],
            touches=[
                Touch(len(tried.families), "families with metrics there", tried.families[:_NAMES_SHOWN]),
                Touch(len(tried.services), "services that they name", tried.services[:_NAMES_SHOWN]),
            ]
            if tried.is_up
            else [],
            warnings=[] if tried.is_up else [tried.detail],
            undo="Connect the former address again. You need its token.",
        )

    def execute(self, call: Call[ConnectInput]) -> Outcome[ConnectionRecord]:
        wanted = call.input.connection()
        before = stored.newest_connection()
        _forget_secrets()
        made = StoredConnection.objects.create(
            url=wanted.url,
            org_id=wanted.org_id,
            user=wanted.user,
            sealed_password=sealing.seal(wanted.password),
            sealed_token=sealing.seal(wanted.token),
            made_by_name=call.actor.name,
        )
        return Outcome(
            result=described(made),
            object_type=OBJECT[0],
            object_id=OBJECT[1],
            object_label=made.url,
            before=described(before) if before else None,
            after=described(made),
            events=[Event("telemetry.connected", {"url": made.url}, aggregate="telemetry:connection")],
        )

    def done(self, result: ConnectionRecord) -> str:
        return f"Telemetry is read from {result['url']} from now on."


class DisconnectInput(ActionInput):
    """No input."""


@register
class Disconnect(Action[DisconnectInput, dict[str, str]]):
    """Stop reading from the connected Prometheus, and delete its secrets. Stored data stay."""

    name = "telemetry.disconnect"
    title = "Disconnect Prometheus"
    permission = "telemetry.configure"
    risk = Risk.MEDIUM
    Input = DisconnectInput

    def target(self, data: DisconnectInput, *, lock: bool) -> None:
        if lock:
            stored.lock()

    def guard(self, call: Call[DisconnectInput]) -> None:
        _refuse_where_the_environment_says()
        if stored.newest_connection() is None:
            raise Conflict("No Prometheus is connected, so there is nothing to disconnect.")

    def preview(self, call: Call[DisconnectInput]) -> Preview:
        found = stored.newest_connection()
        return Preview(
            summary=f"Ballast stops reading from {found.url if found else 'it'}, and deletes its token and password. "
            "Recommendations and budgets stay as they are, without new data.",
            undo="Connect it again. You need its token.",
        )

    def execute(self, call: Call[DisconnectInput]) -> Outcome[dict[str, str]]:
        before = stored.newest_connection()
        _forget_secrets()
        StoredConnection.objects.create(made_by_name=call.actor.name)
        return Outcome(
            result={"url": ""},
            object_type=OBJECT[0],
            object_id=OBJECT[1],
            object_label=before.url if before else "",
            before=described(before) if before else None,
            events=[Event("telemetry.disconnected", aggregate="telemetry:connection")],
        )


def described(found: StoredConnection) -> ConnectionRecord:
    """Return what may be shown of a connection."""
    return {
        "url": found.url,
        "org_id": found.org_id,
        "user": found.user,
        "password": _kept(found.sealed_password),
        "token": _kept(found.sealed_token),
    }


def _kept(secret: str) -> str:
    return "kept, not shown" if secret else "none"


def _differences(before: StoredConnection | None, wanted: sources.Connection) -> list[tuple[str, str, str]]:
    old = described(before or StoredConnection())
    return [
        ("Address", old["url"], wanted.url),
        ("Tenant", old["org_id"], wanted.org_id),
        ("User", old["user"], wanted.user),
        ("Password", old["password"], _kept(wanted.password)),
        ("Token", old["token"], _kept(wanted.token)),
    ]


def _forget_secrets() -> None:
    StoredConnection.objects.exclude(sealed_token="", sealed_password="").update(
        sealed_token="", sealed_password=""
    )


def _refuse_where_the_environment_says() -> None:
    if settings.PROMETHEUS_URL:
        raise Conflict(
            f"PROMETHEUS_URL names {settings.PROMETHEUS_URL}, and the environment overrides what is "
            "connected here. Start "
            "Ballast without it to connect another."
        )
