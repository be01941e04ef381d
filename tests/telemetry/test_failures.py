"""Failures are told by the labels that a counter has, whatever they are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.clients.counts.failures import could_match, recognise
from apps.telemetry.clients.prometheus.families import Selector

#: Labels of the field, values that are no failures, and values that are.
SPELLINGS = [
    ("code", ["200", "204", "301", "404"], ["500", "503"]),
    ("status", ["200", "429"], ["502"]),
    ("status_code", ["200"], ["504"]),
    ("http_status_code", ["200", "400"], ["500"]),
    ("http_response_status_code", ["200"], ["500"]),
    ("http.response.status_code", ["200"], ["500"]),
    ("response_code", ["200", "0"], ["503"]),
    ("status", ["2xx", "4xx"], ["5xx"]),
    ("code", ["2XX"], ["5XX"]),
    ("envoy_response_code_class", ["2", "4"], ["5"]),
    ("grpc_code", ["OK", "NotFound", "Canceled"], ["Unavailable", "Internal", "DeadlineExceeded"]),
    ("grpc_status", ["OK", "INVALID_ARGUMENT"], ["UNAVAILABLE", "DATA_LOSS"]),
    ("rpc_grpc_status_code", ["0", "5"], ["2", "14"]),
    ("code", ["ok", "not_found"], ["internal", "deadline_exceeded"]),
    ("outcome", ["SUCCESS", "CLIENT_ERROR", "REDIRECTION"], ["SERVER_ERROR"]),
    ("classification", ["success"], ["failure"]),
    ("result", ["success"], ["error", "timeout"]),
    ("status", ["success"], ["failed"]),
    ("status_code", ["STATUS_CODE_UNSET", "STATUS_CODE_OK"], ["STATUS_CODE_ERROR"]),
    ("success", ["true"], ["false"]),
    ("error", ["false"], ["true"]),
    ("error", ["", "none"], ["timeout", "ConnectionReset"]),
    ("error_type", [""], ["500", "java.io.IOException"]),
    ("status", ["200 OK", "404 Not Found"], ["500 Internal Server Error", "503 Service Unavailable"]),
    ("code", ["200.0", "404.0"], ["500.0"]),
    ("code", ["HTTP_200", "http-301"], ["HTTP_502"]),
    ("code", ["http_2xx", "http_4xx"], ["http_5xx"]),
    ("status", ["OK", "NOT_FOUND", "NO_CONTENT"], ["INTERNAL_SERVER_ERROR", "BAD_GATEWAY"]),
    ("status_code", ["NotFound", "Created"], ["ServiceUnavailable", "GatewayTimeout"]),
    ("status", ["2", "4"], ["5"]),
    ("code", ["0", "5"], ["13", "14"]),
    ("status_family", ["SUCCESSFUL", "CLIENT_ERROR"], ["SERVER_ERROR"]),
    ("ok", ["True"], ["False"]),
]
#: Of these a single value may be any kind of number.
NUMBERS = {"rpc_grpc_status_code", "response_code"}


def selects(matcher: str, label: str, value: str) -> bool:
    operator, wanted = matcher.removeprefix(label)[:2], matcher.removeprefix(label)[2:]
    if operator not in {"=~", "!~"}:
        return value == matcher.removeprefix(f"{label}=")
    found = re.fullmatch(wanted, value) is not None
    return found if operator == "=~" else not found


@pytest.mark.parametrize(("label", "good", "bad"), SPELLINGS)
def test_a_label_of_the_field_tells_failures_and_nothing_else(
    label: str, good: list[str], bad: list[str]
) -> None:
    found = recognise({label: {*good, *bad}, "method": {"GET", "POST"}, "handler": {"/"}})
    assert found is not None
    assert found.labels == (label,)
    assert [value for value in bad if not selects(found.matchers[0], label, value)] == []
    assert [value for value in good if selects(found.matchers[0], label, value)] == []


@given(st.sampled_from(SPELLINGS), st.data())
def test_it_is_told_before_the_first_failure(
    spelling: tuple[str, list[str], list[str]], data: st.DataObject
) -> None:
    """What is known without a failure seen tells the failures that come."""
    label, good, _ = spelling
    told = [value for value in good if value and value not in {"none"}]
    if not told:
        return
    seen = data.draw(st.sets(st.sampled_from(told), min_size=1))
    found = recognise({label: seen})
    # A 0 or 5 alone may be any kind of number; what is recognised tells no good value as bad.
    if found is not None:
        assert [value for value in good if selects(found.matchers[0], label, value)] == []
    elif label not in NUMBERS and not seen <= {"0", "4", "5"}:
        pytest.fail(f"{label} with {seen} is not recognised")


@pytest.mark.parametrize(
    "labels",
    [
        {"method": ["GET"], "path": ["/"]},
        {"country_code": ["de", "us"]},
        {"code": ["abc-1", "abc-2"]},
        {"state": ["idle", "busy"]},
        {"status_code": []},
        {"product_code": ["4711", "4712"]},
    ],
)
def test_what_tells_nothing_is_not_taken_for_more(labels: dict[str, list[str]]) -> None:
    assert recognise({label: set(values) for label, values in labels.items()}) is None


def test_too_many_requests_fail_by_choice_alone() -> None:
    labels = {"code": {"200", "429"}}
    usual, chosen = recognise(labels), recognise(labels, too_many_requests_fail=True)
    assert usual is not None
    assert chosen is not None
    assert not selects(usual.matchers[0], "code", "429")
    assert selects(chosen.matchers[0], "code", "429")
    assert not selects(chosen.matchers[0], "code", "404")
    worded = recognise({"status": {"200 OK", "429 Too Many Requests"}}, too_many_requests_fail=True)
    assert worded is not None
    assert selects(worded.matchers[0], "status", "429 Too Many Requests")
    assert not selects(worded.matchers[0], "status", "404 Not Found")


@pytest.mark.parametrize(
    ("where", "labels", "could"),
    [
        (("code=~5..",), {"code": {"200"}}, True),
        (("code=~5..",), {"status": {"200"}}, False),
        (("code=~5..",), {"code": {"OK", "Internal"}}, False),
        (("code=~5xx",), {"code": {"200", "503"}}, False),
        (("code=~5xx",), {"code": {"2xx"}}, True),
        (("code=500",), {"code": {"200"}}, True),
        (("code!~2..",), {"code": {"200"}}, True),
        (("result=bad",), {"result": {"fine", "well"}}, True),
        (("status=~5..",), {"status": {"200 OK", "404 Not Found"}}, False),
        (("status=~5..",), {"status": {"OK", "NOT_FOUND"}}, False),
        (("status=~5..",), {"status": {"red", "green"}}, False),
        (("status=~5..",), {"status": {"200", "red", "green"}}, True),
        (("code=~5..",), {"code": {"0", "13"}}, False),
        (("code=~5..",), {"code": {"http_2xx"}}, False),
        (("kind=x", "code=~5.."), {"kind": {"x"}, "code": {"200"}}, True),
        (("kind=x", "code=~5.."), {"code": {"200"}}, False),
    ],
)
def test_a_query_that_cannot_match_is_told_from_one_that_has_not_yet(
    where: tuple[str, ...], labels: dict[str, set[str]], could: bool
) -> None:
    total = Selector(metric="requests_total")
    assert could_match(Selector(metric="requests_total", where=where), total, labels) is could


def test_of_another_metric_nothing_is_known() -> None:
    assert not could_match(Selector(metric="errors_total"), Selector(metric="requests_total"), {})
