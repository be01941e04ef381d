"""All failures are divided among causes, without a remainder."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.decomposition import decompose, dependency_share
from apps.engine.edges.dependencies import counted_factors
from apps.engine.edges.estimates import estimate_edges
from apps.engine.series import observe
from apps.engine.types import CountSeries, DependencyInput
from tests.engine.build import end_of, with_dependency


@pytest.mark.parametrize("factor", [1.0, 1 / 3, 1e-6])
def test_the_causes_of_a_bin_add_up_to_its_failures_to_the_last_bit(factor: float) -> None:
    counts, edge = with_dependency(call_probability=0.7, hardness=0.6)
    scaled = CountSeries(counts.start, counts.step_seconds, counts.total, counts.bad * factor)
    own = observe(scaled, end_of(counts))
    assert own is not None
    dependencies = [
        DependencyInput("db", edge=edge),
        DependencyInput("cache", criticality="soft", target=counts),
    ]
    factors = counted_factors(estimate_edges(own, dependencies, end_of(counts)))
    parts = decompose(own, factors)
    assert len(parts.causes) > 1
    assert np.array_equal(parts.bad.sum(axis=1), own.dense_bad)
    assert np.array_equal(parts.bad[:, ::-1].sum(axis=1), own.dense_bad)
    theirs = parts.bad[:, [each.kind == "dependency" for each in parts.causes]].sum()
    assert dependency_share(own, factors) == pytest.approx(float(theirs / own.failures))
