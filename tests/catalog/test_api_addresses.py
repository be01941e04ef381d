"""Every service has an address in the API, whatever its id looks like."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urljoin

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.catalog.converters import MARK, ServicePathConverter, encode
from apps.catalog.models import Service
from apps.catalog.schemas import service_id_problem

ROOT = "/api/v1/services"
AMBIGUOUS = (
    "shop/dependencies",
    "shop/slos",
    "shop/slo-recommendations",
    "dependencies",
    "dependencies/ingestions/0199d9c8-0000-7000-8000-000000000000",
    "~home",
    "~shop~1slos",
    "~",
    "a//b",
    "/a/",
    ".",
    "..",
    "a/../b",
)


@pytest.fixture
def api(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("vera", role="viewer"))
    return client


def escaped(service_id: str, tail: str = "") -> str:
    """The address as a client resolves it that takes dots for steps in the path."""
    return urljoin("http://testserver", f"{ROOT}/{MARK}{quote(encode(service_id), safe='')}{tail}")


@pytest.mark.parametrize("service_id", AMBIGUOUS)
def test_an_ambiguous_id_is_reached_escaped_and_so_is_all_below_it(api: Client, service_id: str) -> None:
    Service.objects.bulk_create([Service(service_id=service_id), Service(service_id="shop")])

    def read(tail: str = "") -> Any:
        answer = api.get(escaped(service_id, tail))
        assert answer.status_code == 200, answer.content
        return answer.json()

    assert read()["service_id"] == service_id
    assert read("/dependencies")["service_id"] == service_id
    assert read("/slos")["service_id"] == service_id


def test_an_escape_that_is_none_is_not_found(api: Client) -> None:
    Service.objects.create(service_id="~3")
    assert api.get(f"{ROOT}/~~3").status_code == 404
    assert api.get(f"{ROOT}/~~3/slos").status_code == 404


@given(st.text(alphabet="~/.ab%", min_size=1, max_size=12).filter(lambda text: not service_id_problem(text)))
def test_every_id_survives_the_way_into_an_address_and_back(service_id: str) -> None:
    converter = ServicePathConverter()
    segment = converter.to_url(service_id)
    assert "/" not in segment
    assert converter.to_python(segment) == service_id
    if not service_id.startswith(MARK):
        assert converter.to_python(service_id) == service_id
