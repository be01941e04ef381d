"""Servers that speak Prometheus' API are told apart by what they answer, and read by what that means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.clients.prometheus.dialects import (
    Dialect,
    is_an_outage,
    is_over_a_limit,
    partial_signs,
    recognise,
    version,
    without_remarks,
)

RECORDED = Path(__file__).parent / "recorded"
#: The beginning of a file's name, and the server that it was recorded from.
BY_NAME = {
    "prometheus": Dialect.PROMETHEUS,
    "mimir": Dialect.MIMIR,
    "thanos": Dialect.THANOS,
    "victoriametrics": Dialect.VICTORIAMETRICS,
}
NAMES = sorted(path.stem for path in RECORDED.glob("*.json"))
WHOLE = ("victoriametrics-cluster-whole", "thanos-whole", "prometheus-3-increase-1ms", "thanos-remark")


def recorded(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return document


def body(name: str) -> dict[str, Any]:
    found: dict[str, Any] = recorded(name)["body"]
    return found


def counts(name: str) -> dict[str, list[float]]:
    """The counts of each service, bin by bin."""
    return {
        series["metric"]["service"]: [float(value) for _, value in series["values"]]
        for series in body(name)["data"]["result"]
    }


def dialect_of(name: str) -> Dialect:
    return BY_NAME[name.partition("-")[0]]


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("buildinfo")])
def test_every_server_is_recognised(name: str) -> None:
    answer = recorded(name)
    assert recognise(answer["body"]["data"], answer["headers"]) is dialect_of(name)


def test_a_proxy_that_takes_headers_away_hides_no_server() -> None:
    for name in NAMES:
        if name.endswith("buildinfo"):
            assert recognise(recorded(name)["body"]["data"], {}) is dialect_of(name)


def test_versions_are_those_that_servers_tell_of_themselves() -> None:
    told = {
        name.removesuffix("-buildinfo"): version(dialect_of(name), body(name)["data"])
        for name in NAMES
        if name.endswith("buildinfo")
    }
    assert told == {
        "mimir": "2.17.0",
        "prometheus-2": "2.42.0+ds",
        "prometheus-3": "3.16.0",
        "thanos": "0.43.0-dev",
        "victoriametrics": "",
        "victoriametrics-cluster": "",
    }


@pytest.mark.parametrize(
    "buildinfo", [{}, {"application": "Cortex", "version": "1.18.1", "goVersion": "go1.22"}, {"release": "3"}]
)
def test_what_says_nothing_known_is_unknown_and_read_like_prometheus(buildinfo: Mapping[str, str]) -> None:
    assert recognise(buildinfo, {}) is Dialect.UNKNOWN
    assert Dialect.UNKNOWN.facts == Dialect.PROMETHEUS.facts


texts = st.text(max_size=12)
anything = st.none() | st.booleans() | st.floats() | texts | st.lists(texts, max_size=2)


@given(st.dictionaries(st.sampled_from(["application", "version", "goVersion", "branch"]) | texts, anything))
def test_no_build_information_is_too_strange(buildinfo: Mapping[str, Any]) -> None:
    assert isinstance(version(recognise(buildinfo, {}), buildinfo), str)


@pytest.mark.parametrize("name", [name for name in NAMES if "partial" in name and "denied" not in name])
def test_every_partial_answer_says_that_it_is(name: str) -> None:
    answer = body(name)
    warnings, _ = without_remarks(answer.get("warnings", ()))
    assert partial_signs(answer) or warnings


@pytest.mark.parametrize("name", WHOLE)
def test_no_whole_answer_looks_partial(name: str) -> None:
    answer = body(name)
    assert partial_signs(answer) is None
    assert without_remarks(answer.get("warnings", ()))[0] == ()


def test_remarks_of_thanos_come_among_its_warnings() -> None:
    (remark,) = body("thanos-remark")["warnings"]
    assert without_remarks(["a store is gone", remark]) == (("a store is gone",), (remark,))
    assert "warnings" not in body("prometheus-3-remark")


def test_thanos_without_stores_looks_as_if_there_were_no_data_unless_asked_for_all() -> None:
    for name in ("thanos-no-stores", "thanos-no-stores-label-values"):
        assert partial_signs(body(name)) is None
        assert "warnings" not in body(name)
    form = recorded("thanos-no-stores-denied")["request"]["form"]
    assert form.items() >= Dialect.THANOS.facts.whole_answer.items()
    assert is_an_outage(body("thanos-no-stores-denied")["error"])


@pytest.mark.parametrize("name", ["thanos-partial-denied", "victoriametrics-cluster-partial-denied"])
def test_who_asks_for_all_gets_an_error_that_is_an_outage(name: str) -> None:
    form = recorded(name)["request"]["form"]
    assert form.items() >= dialect_of(name).facts.whole_answer.items()
    assert is_an_outage(body(name)["error"])
    assert not is_over_a_limit(body(name)["error"])


@pytest.mark.parametrize("name", [name for name in NAMES if "-too-" in name])
def test_every_limit_is_understood_as_one(name: str) -> None:
    assert is_over_a_limit(body(name)["error"])
    assert not is_an_outage(body(name)["error"])


def test_a_wrong_query_is_neither_too_much_nor_an_outage() -> None:
    error = body("victoriametrics-parse-error")["error"]
    assert not is_over_a_limit(error)
    assert not is_an_outage(error)


@pytest.mark.parametrize("dialect", [Dialect.PROMETHEUS, Dialect.THANOS, Dialect.MIMIR])
def test_a_window_a_millisecond_wider_counts_all_but_a_first_value(dialect: Dialect) -> None:
    facts = dialect.facts
    assert (facts.window_extra_ms, facts.extrapolates, facts.counts_first_value) == (1, True, False)


def test_prometheus_of_either_version_loses_what_a_series_begins_with() -> None:
    assert counts("prometheus-2-increase-1ms") == counts("prometheus-3-increase-1ms")
    found = counts("prometheus-3-increase-1ms")
    assert found["even"] == pytest.approx([144, 144], rel=1e-6)
    assert found["late"] == found["late-small"] == [5.5]
    assert "once" not in found


def test_victoriametrics_counts_exactly_in_windows_of_the_step_and_too_much_in_wider_ones() -> None:
    facts = Dialect.VICTORIAMETRICS.facts
    assert (facts.window_extra_ms, facts.extrapolates, facts.counts_first_value) == (0, False, True)
    assert counts("victoriametrics-increase")["even"] == [144, 144]
    assert counts("victoriametrics-increase-1ms")["even"] == [144, 156]


def test_victoriametrics_counts_a_first_value_that_is_small() -> None:
    found = counts("victoriametrics-increase")
    assert found["late-small"] == [8]  # 3, and 5 more
    assert found["late"] == [5]
    assert found["once"] == [0]
    assert found["gap"] == [30]  # it has grown by 20 since its last sample


def test_lists_cut_at_a_limit_say_so_where_the_facts_say_that_they_do() -> None:
    cut = [name for name in NAMES if name.endswith(("label-values-limit", "label-values-cut"))]
    assert {dialect_of(name) for name in cut} >= {Dialect.PROMETHEUS, Dialect.THANOS, Dialect.VICTORIAMETRICS}
    for name in cut:
        is_cut = len(body(name)["data"]) < (4 if dialect_of(name) is Dialect.VICTORIAMETRICS else 2)
        tells = "warnings" in body(name)
        assert tells == (is_cut and dialect_of(name).facts.tells_truncation), name


def test_more_points_than_a_server_gives_are_refused_with_the_number_of_its_facts() -> None:
    for name in [name for name in NAMES if name.endswith("too-many-points")]:
        assert f"{dialect_of(name).facts.max_points}" in body(name)["error"].replace(",", "")
