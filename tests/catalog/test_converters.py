"""Service ids in the addresses of pages: whatever the id, the address leads back to it."""

from __future__ import annotations

from urllib.parse import quote, unquote, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.converters import ServiceIdConverter, decode, encode
from apps.catalog.schemas import service_id_problem

ids = st.text(min_size=1, max_size=40).filter(lambda text: not service_id_problem(text)) | st.text(
    alphabet="~/.%012?# ", min_size=1, max_size=12
).filter(lambda text: not service_id_problem(text))


@given(ids)
def test_an_id_survives_the_way_into_an_address_and_back(service_id: str) -> None:
    segment = ServiceIdConverter().to_url(service_id)
    assert "/" not in segment
    assert ServiceIdConverter().to_python(segment) == service_id


@given(ids)
def test_a_browser_does_not_take_an_id_for_a_step_in_the_path(service_id: str) -> None:
    path = f"/services/{quote(encode(service_id), safe='')}/"
    resolved = urljoin("http://ballast/", path)
    assert decode(unquote(resolved.removeprefix("http://ballast/services/").removesuffix("/"))) == service_id


@given(st.text(max_size=20))
def test_no_two_segments_stand_for_the_same_id(segment: str) -> None:
    try:
        service_id = decode(segment)
    except ValueError:
        return
    assert encode(service_id) == segment


@pytest.mark.parametrize(
    ("service_id", "segment"),
    [
        ("169.254.170.2_remote", "169.254.170.2_remote"),
        ("Updater/prod_AWS::ApiGateway::Stage", "Updater~1prod_AWS::ApiGateway::Stage"),
        (".", "~2"),
        ("..", "~2~2"),
        ("~2", "~02"),
        ("~1/", "~01~1"),
        ("%2F", "%2F"),
    ],
)
def test_it_escapes_like_a_json_pointer(service_id: str, segment: str) -> None:
    assert encode(service_id) == segment
    assert decode(segment) == service_id


@pytest.mark.parametrize("segment", ["~", "~3", "a~", "~2x", "~2~2~2", "~1~"])
def test_it_refuses_what_it_never_writes(segment: str) -> None:
    with pytest.raises(ValueError, match="not an escaped service id"):
        decode(segment)


@pytest.mark.parametrize("segment", ["a\x00b", " a", "x" * 256])
def test_it_refuses_what_cannot_be_an_id(segment: str) -> None:
    with pytest.raises(ValueError):
        ServiceIdConverter().to_python(segment)
