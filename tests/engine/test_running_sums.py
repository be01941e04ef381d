"""Sums of stretches from cumulative sums equal those of the values."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.running_sums import running_sums, sums_of_stretches


@pytest.mark.parametrize(
    ("places", "width", "count"), [(7, 3, 2), (6, 3, 2), (3, 3, 1), (2, 3, 1), (1, 1, 1)]
)
def test_stretches_end_with_the_newest_place(places: int, width: int, count: int) -> None:
    values = np.arange(1.0, 2 * places + 1).reshape(2, places)
    found = sums_of_stretches(running_sums(values), width)
    used = min(width, places)
    newest = values[:, places - count * used :].reshape(2, count, used).sum(axis=2)
    np.testing.assert_array_equal(found, newest)
