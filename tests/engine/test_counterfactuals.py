"""Counterfactuals are true when the model is run again."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apps.engine.evaluation.evaluate import CUT
from apps.engine.recommend import recommend
from apps.engine.rounding import percent
from apps.engine.simulation.fleet import FAMILIES, simulate_service
from apps.engine.types import CountSeries, ServiceInput
from tests.engine.build import end_of, full_service, hourly, steady, with_dependency


def changes_of(service: ServiceInput, as_of: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document: Any = recommend(service, as_of=as_of)
    return document, document["explanation"]["counterfactuals"]


def _with_better_dependency(service: ServiceInput, scale: float) -> ServiceInput:
    """The same past with the failures of the dependency, and those that it caused in the service, scaled."""
    first = service.dependencies[0]
    assert first.edge is not None
    assert service.counts is not None
    document: Any = recommend(service, as_of=end_of(service.counts))
    hardness = next(
        each["hardness"]
        for each in document["availability"]["composite"]["dependencies"]
        if each["target_id"] == first.target_id
    )
    edge = CountSeries(first.edge.start, first.edge.step_seconds, first.edge.total, first.edge.bad * scale)
    saved = np.minimum(hardness * first.edge.bad, service.counts.bad) * (1 - scale)
    counts = CountSeries(
        service.counts.start,
        service.counts.step_seconds,
        service.counts.total,
        service.counts.bad - saved,
    )
    return replace(
        service,
        counts=counts,
        dependencies=(replace(first, edge=edge, target=edge), *service.dependencies[1:]),
    )


def test_what_one_more_nine_needs_is_enough_when_the_engine_runs_again() -> None:
    counts, edge = with_dependency(own_rate=2e-6)
    service = replace(full_service()[0], counts=counts)
    service = replace(
        service,
        dependencies=(replace(service.dependencies[0], edge=edge, target=edge), *service.dependencies[1:]),
    )
    document, changes = changes_of(service, end_of(counts))
    needed = next(each for each in changes if each["kind"] == "one_more_nine")
    assert needed["change"]["cause"] == "dependency:payments-db"
    assert (
        needed["text"] == f"One more nine needs payments-db at {percent(needed['change']['availability'])}."
    )
    assert percent(needed["change"]["availability"]) == f"{100 * needed['change']['availability']:.10g} %"
    goal = 1 - (1 - document["explanation"]["target"]) / 10
    assert needed["result"] >= goal
    better = _with_better_dependency(service, needed["change"]["scale"])
    again, _ = changes_of(better, end_of(counts))
    assert again["explanation"]["target"] == pytest.approx(needed["result"], abs=0.1 * (1 - goal))


def test_a_nine_more_helps_and_a_nine_less_hurts() -> None:
    service, as_of = full_service()
    document, changes = changes_of(service, as_of)
    target = document["explanation"]["target"]
    better = [each for each in changes if each["kind"] == "one_nine_better"]
    worse = [each for each in changes if each["kind"] == "one_nine_worse"]
    assert better
    assert worse
    assert all(each["result"] > target for each in better)
    assert all(each["result"] < target for each in worse)
    database = next(each for each in better if each["change"]["cause"] == "dependency:payments-db")
    listed = next(
        each
        for each in document["availability"]["composite"]["dependencies"]
        if each["target_id"] == "payments-db"
    )
    assert 1 - database["change"]["availability"] == pytest.approx(
        (1 - listed["availability"]) / 10, rel=1e-5
    )


def test_every_text_carries_its_own_numbers() -> None:
    _, changes = changes_of(*full_service())
    for each in changes:
        if each["kind"] != "one_more_nine":
            assert percent(each["result"]) in each["text"]
        if each["change"]["availability"] is not None:
            assert percent(each["change"]["availability"]) in each["text"]


def test_an_incident_is_named_with_what_it_cost() -> None:
    counts = steady(60, rate=1e-4)
    struck = hourly(counts.total, counts.bad)
    struck.bad[700:703] = 0.5 * struck.total[700:703]
    document, changes = changes_of(ServiceInput("svc", counts=struck), end_of(counts))
    without = next(each for each in changes if each["kind"] == "without_incidents")
    clean: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))
    assert without["result"] == pytest.approx(clean["explanation"]["target"], abs=5e-5)
    labels = [each["label"] for each in document["explanation"]["attribution"]]
    assert "Incidents (3 h in all)" in labels


def test_where_traffic_stands_in_the_way_it_says_so() -> None:
    traffic = np.random.default_rng(2).poisson(30, 60 * 24).astype(float)
    counts = hourly(traffic, np.zeros(60 * 24))
    _, changes = changes_of(ServiceInput("svc", counts=counts), end_of(counts))
    assert changes[0]["kind"] == "one_more_nine"
    assert "needs more traffic" in changes[0]["text"]


def test_no_change_is_offered_that_would_not_be_seen() -> None:
    """Only "one more nine" may lead nowhere and say so, because it is answered for every service."""
    kinds = set()
    for number, family in itertools.product(range(6), FAMILIES):
        generator = np.random.default_rng([11, list(FAMILIES).index(family), number])
        _, changes = changes_of(simulate_service(generator, family, family).service, CUT)
        for each in changes:
            if each["kind"] != "one_more_nine":
                assert percent(each["result"]) != percent(each["target"]), (family, number, each)
                kinds.add(each["kind"])
    assert kinds == {"one_nine_better", "one_nine_worse", "without_incidents"}


@pytest.mark.parametrize("rate", [5e-4, 2e-3])
def test_no_way_to_one_more_nine_leads_down(rate: float) -> None:
    """Spotless services get lower targets than some that fail a little; that must not look like a gain from failing."""
    counts = steady(90, per_hour=10_000, rate=rate)
    document, changes = changes_of(ServiceInput("svc", counts=counts), end_of(counts))
    needed = next(each for each in changes if each["kind"] == "one_more_nine")
    assert needed["result"] >= document["explanation"]["target"]
    assert percent(needed["result"]) in needed["text"] or "would be" not in needed["text"]
