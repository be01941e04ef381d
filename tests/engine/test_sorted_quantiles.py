"""Quantiles read from sorted values are numpy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from apps.engine.sorted_quantiles import middle_of, quantiles_of

_VALUES = arrays.arrays(
    np.float64, arrays.array_shapes(min_dims=1, max_dims=2, max_side=40), elements=st.floats(-1e6, 1e6)
)


@given(_VALUES, st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_they_are_those_of_numpy(values: np.ndarray, quantiles: list[float]) -> None:
    found = quantiles_of(values, quantiles)
    np.testing.assert_allclose(found, np.quantile(values, quantiles, axis=-1), rtol=1e-9, atol=1e-6)


@given(_VALUES)
def test_the_middle_is_the_median(values: np.ndarray) -> None:
    np.testing.assert_allclose(middle_of(values), np.median(values, axis=-1), rtol=1e-9, atol=1e-6)
