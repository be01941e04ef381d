"""An answer is given again only to whoever may still do what it answers, and a request has an id that nobody chose."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import NotAllowed, NotFound
from apps.core.models import AuditEntry
from apps.core.web.middleware import RequestIdMiddleware
from tests.api.conftest import key_for, problem

pytestmark = pytest.mark.django_db
JSON = "application/json"
KEY = "the-same"


def actor_of(user: User, prefix: str = "") -> Actor:
    """The user as a new request finds them."""
    return Actor.person(User.objects.get(pk=user.pk), AuditEntry.Source.API, api_key_prefix=prefix)


@pytest.fixture
def owner() -> User:
    """The owner of one service."""
    team = Team.objects.create(name="payments")
    Service.objects.create(service_id="pay", team=team)
    user = User.objects.create_user("olga", role="service_owner")
    user.teams.add(team)
    return user


UPDATE = ("catalog.update_service", {"service_id": "pay", "criticality": "high"})
DECLARE = ("catalog.declare_service", {"service_id": "new", "team": "payments"})


@pytest.mark.parametrize(("name", "data"), [UPDATE, DECLARE])
def test_whoever_may_still_do_it_gets_the_answer_again(owner: User, name: str, data: dict[str, Any]) -> None:
    first = dispatch(name, data, actor=actor_of(owner), idempotency_key=KEY)
    again = dispatch(name, data, actor=actor_of(owner), idempotency_key=KEY)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.value == first.value


@pytest.mark.parametrize("role", ["viewer", "auditor"])
@pytest.mark.parametrize(("name", "data"), [UPDATE, DECLARE])
def test_whoever_lost_the_role_does_not(owner: User, name: str, data: dict[str, Any], role: str) -> None:
    dispatch(name, data, actor=actor_of(owner), idempotency_key=KEY)
    User.objects.filter(pk=owner.pk).update(role=role)
    with pytest.raises(NotAllowed, match="only an SRE admin"):
        dispatch(name, data, actor=actor_of(owner), idempotency_key=KEY)
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize(("name", "data"), [UPDATE, DECLARE])
def test_whoever_left_the_team_does_not(owner: User, name: str, data: dict[str, Any]) -> None:
    dispatch(name, data, actor=actor_of(owner), idempotency_key=KEY)
    owner.teams.clear()
    with pytest.raises(NotAllowed):
        dispatch(name, data, actor=actor_of(owner), idempotency_key=KEY)


def test_a_service_that_went_to_another_team_is_no_longer_answered_for(owner: User) -> None:
    dispatch(*UPDATE, actor=actor_of(owner), idempotency_key=KEY)
    Service.objects.update(team=Team.objects.create(name="shop"))
    with pytest.raises(NotAllowed):
        dispatch(*UPDATE, actor=actor_of(owner), idempotency_key=KEY)


def test_an_object_that_is_gone_is_answered_for_by_whoever_may_do_it_to_anything(owner: User) -> None:
    first = dispatch(*UPDATE, actor=actor_of(owner), idempotency_key=KEY)
    Service.objects.all().delete()
    again = dispatch(*UPDATE, actor=actor_of(owner), idempotency_key=KEY)
    assert (again.replayed, again.value) == (True, first.value)
    with pytest.raises(NotFound):
        dispatch(*UPDATE, actor=actor_of(owner), idempotency_key="another")
    User.objects.filter(pk=owner.pk).update(role="viewer")
    with pytest.raises(NotAllowed):
        dispatch(*UPDATE, actor=actor_of(owner), idempotency_key=KEY)


def test_a_key_is_not_told_what_only_a_person_may_do() -> None:
    admin = User.objects.create_user("ada", role="sre_admin")
    data = {"username": "grace"}
    dispatch("accounts.create_user", data, actor=actor_of(admin), idempotency_key=KEY)
    with pytest.raises(NotAllowed, match="A key cannot"):
        dispatch("accounts.create_user", data, actor=actor_of(admin, "blst_x"), idempotency_key=KEY)


def test_over_the_api_it_is_a_403(owner: User, client: Client) -> None:
    headers = {"X-API-Key": key_for(owner), "Idempotency-Key": KEY}
    path = f"/api/v1/actions/{UPDATE[0]}"
    assert client.post(path, UPDATE[1], content_type=JSON, headers=headers).status_code == 200
    User.objects.filter(pk=owner.pk).update(role="viewer")
    problem(client.post(path, UPDATE[1], content_type=JSON, headers=headers), 403)


@given(
    st.one_of(
        st.sampled_from(["proxy-7.1", "0" * 36, "a b", "x" * 200, ""]), st.text("abc-.: \u00e4", max_size=140)
    )
)
def test_the_id_of_a_request_is_never_the_clients(asked: str) -> None:
    found: dict[str, Any] = {}

    def answer(request: HttpRequest) -> HttpResponse:
        found.update(structlog.contextvars.get_contextvars(), header=request.headers["X-Request-ID"])
        return HttpResponse()

    request = RequestFactory().get("/")
    request.META["HTTP_X_REQUEST_ID"] = asked
    response = RequestIdMiddleware(answer)(request)
    assert found["request_id"] == found["header"] == response["X-Request-ID"] != asked
    assert len(found["request_id"]) == 36
    assert found.get("client_request_id", asked) == asked


@pytest.mark.parametrize("proxies", [0, 1])
def test_an_audit_entry_has_no_id_that_somebody_sent(owner: User, settings: Any, proxies: int) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = {"X-API-Key": key_for(owner), "X-Request-ID": "proxy-7.1"}
    response = Client().post(f"/api/v1/actions/{UPDATE[0]}", UPDATE[1], content_type=JSON, headers=headers)
    assert response.status_code == 200
    assert AuditEntry.objects.get().request_id == response["X-Request-ID"] != "proxy-7.1"
