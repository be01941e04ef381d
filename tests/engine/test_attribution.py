"""Attribution is exact, additive, and the same as shap's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from apps.engine.explanation.attribution import MAX_FEATURES, coalitions, shapley_values
from apps.engine.recommend import recommend
from apps.engine.types import Floats
from tests.engine.build import full_service


@given(st.integers(1, 7).flatmap(lambda n: arrays(np.float64, 1 << n, elements=st.floats(-1, 1))))
def test_shapley_values_add_up_to_the_whole(values: Floats) -> None:
    assert shapley_values(values).sum() == pytest.approx(values[-1] - values[0], abs=1e-9)


def test_they_are_the_same_as_shaps_exact_explainer() -> None:
    shap = pytest.importorskip("shap")
    generator = np.random.default_rng(5)
    for features in (3, 6, 8):
        worth = generator.normal(size=1 << features)
        bits = 1 << np.arange(features)

        def model(rows: Floats, worth: Floats = worth, bits: np.ndarray = bits) -> Floats:
            result: Floats = worth[(rows @ bits).astype(int)]
            return result

        explainer = shap.explainers.Exact(model, np.zeros((1, features)))
        expected = explainer(np.ones((1, features))).values[0]
        np.testing.assert_allclose(shapley_values(worth), expected, atol=1e-12)


def test_a_feature_that_changes_nothing_gets_nothing() -> None:
    subsets = coalitions(4)
    values = subsets[:, 0] * 2 + subsets[:, 1] * subsets[:, 2]
    np.testing.assert_allclose(shapley_values(values), [2, 0.5, 0.5, 0], atol=1e-12)


def test_it_refuses_more_features_than_it_can_do_exactly() -> None:
    with pytest.raises(ValueError, match="at most"):
        shapley_values(np.zeros(1 << (MAX_FEATURES + 1)))
    with pytest.raises(ValueError, match="every coalition"):
        shapley_values(np.zeros(6))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([10, 28, 60]))
def test_base_and_contributions_are_the_balanced_target(seed: int, days: int) -> None:
    service, as_of = full_service(days=days)
    document = recommend(service, as_of=as_of, seed=seed)
    explanation = document["explanation"]
    tiers = document["availability"]["tiers"]
    assert tiers is not None
    assert explanation["base"] is not None
    total = explanation["base"] + sum(each["contribution"] for each in explanation["attribution"])
    assert total == pytest.approx(explanation["target"], abs=1e-9)
    assert explanation["target"] == tiers["balanced"]["target"]


def test_the_dependency_that_fails_most_costs_most() -> None:
    service, as_of = full_service()
    attribution = recommend(service, as_of=as_of)["explanation"]["attribution"]
    worst = min(attribution, key=lambda each: each["contribution"])
    assert worst["feature"] == "dependency:payments-db"
