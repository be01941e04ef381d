"""A Prometheus that takes connections and never completes an answer keeps one thread, not those who look at it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from django.db import connections

from apps.telemetry import checks
from apps.telemetry.setup import surveys
from apps.telemetry.sources import Connection, SourceBusy, place
from tests.faults.frozen_house import HANGS_S, House
from tests.faults.frozen_source import HangingSource

PEOPLE = 16


@pytest.fixture(params=[False, True], ids=["silent", "dripping"])
def source(request: pytest.FixtureRequest) -> Iterator[HangingSource]:
    with HangingSource(drips=request.param) as source:
        yield source


def looked(service: str) -> checks.Look:
    try:
        return checks.look(service)
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("service", ["", "shop"])
def test_one_of_sixteen_waits_and_the_others_are_told(
    source: HangingSource, service: str, settings: Any
) -> None:
    settings.PROMETHEUS_URL = source.url
    with ThreadPoolExecutor(PEOPLE) as pool:
        asked = [pool.submit(looked, service) for _ in range(PEOPLE)]
        looks = [one.result(timeout=HANGS_S) for one in asked]
    assert source.peak == 1
    assert not any(look.check["is_up"] for look in looks)
    assert all(look.check["detail"] for look in looks)
    again = looked(service)
    assert again.age_seconds > 0
    assert source.peak == 1


@pytest.mark.django_db(transaction=True)
def test_who_tries_out_an_address_meanwhile_is_told_that_somebody_else_is_asking(
    source: HangingSource, settings: Any
) -> None:
    with place():
        tried = surveys.try_out(Connection(source.url))
        with pytest.raises(SourceBusy), place():
            raise AssertionError("There was a second place.")
    assert not tried.is_up
    assert "another request is waiting for it" in tried.detail
    assert source.peak == 0


@pytest.fixture
def browser(house: House, source: HangingSource) -> Iterator[httpx.Client]:
    """A browser at a console that reads from the hanging source."""
    with closing(house.signed_in()) as browser:
        connected = browser.post("/api/v1/actions/telemetry.connect", json={"url": source.url})
        assert connected.status_code == 200, connected.text
        yield browser
        browser.post("/api/v1/actions/telemetry.disconnect", json={})


@pytest.mark.parametrize("source", [True], indirect=True, ids=["dripping"])
def test_pages_are_served_while_sixteen_look_at_it(browser: httpx.Client) -> None:
    with ThreadPoolExecutor(PEOPLE) as pool:
        asked = [pool.submit(browser.get, "/telemetry/check/?service=shop") for _ in range(PEOPLE)]
        for path in ("/services/", "/telemetry/", "/telemetry/setup/", "/-/healthz", "/-/ready"):
            assert browser.get(path).status_code == 200
        answers = [one.result(timeout=HANGS_S) for one in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert all("does not answer" in answer.text for answer in answers)
