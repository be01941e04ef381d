"""What is believed of a request, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict
from django.test import RequestFactory

from apps.core.errors import InvalidInput
from apps.core.web.http import StrictParser, client_ip


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "<script>", None),
    ],
)
def test_the_client_is_as_far_from_the_right_as_there_are_proxies(
    settings: Any, proxies: int, forwarded: str, expected: str | None
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="192.0.2.1")
    assert client_ip(request) == expected


def test_a_unix_socket_has_no_address() -> None:
    assert client_ip(RequestFactory().get("/", REMOTE_ADDR="")) is None


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (rb'{"a": "x\u0000y"}', ["a"]),
        (rb'{"a": {"b": ["fine", "\ud800"]}}', ["a.b.1"]),
        (rb'{"\u0000": 1}', ["body"]),
        (rb'"\udfff"', ["body"]),
    ],
)
def test_text_that_cannot_be_stored_is_refused_where_it_stands(body: bytes, paths: list[str]) -> None:
    request = RequestFactory().post("/", body, content_type="application/json")
    with pytest.raises(InvalidInput) as refusal:
        StrictParser().parse_body(request)
    assert [field.path for field in refusal.value.fields] == paths


def test_a_pair_of_surrogates_is_a_character() -> None:
    request = RequestFactory().post("/", rb'{"a": "\ud83d\ude00"}', content_type="application/json")
    assert StrictParser().parse_body(request) == {"a": "😀"}


def test_a_query_that_cannot_be_stored_is_refused() -> None:
    request = RequestFactory().get("/")
    with pytest.raises(InvalidInput):
        StrictParser().parse_querydict(QueryDict("a=%00"), [], request)


def test_much_text_that_cannot_be_stored_is_named_in_part() -> None:
    body = b"[" + rb'"\u0000",' * 10_000 + b"1]"
    with pytest.raises(InvalidInput) as refusal:
        StrictParser().parse_body(RequestFactory().post("/", body, content_type="application/json"))
    assert len(refusal.value.fields) == 300


def test_such_text_is_found_as_deep_as_a_body_can_be() -> None:
    body = b"[" * 950 + rb'"\u0000"' + b"]" * 950
    with pytest.raises(InvalidInput) as refusal:
        StrictParser().parse_body(RequestFactory().post("/", body, content_type="application/json"))
    assert len(refusal.value.fields) == 1
