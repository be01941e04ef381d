"""The forecast's record on real sites is computed page by page, because sites of one page go down together."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.forecast.features import FeatureRows
from tools.learn_outages import TIER_CHANCES, Windows, figures, table

REQUESTS = 12 * 24 * 28.0


def windows(page: list[int], site: list[int], actual: list[float], plain: float = 0.0) -> Windows:
    size = len(page)
    rows = FeatureRows(np.zeros((size, 1)), np.zeros(size), np.ones(size), is_probed=True)
    return Windows(
        np.array(page),
        np.array(site),
        rows,
        np.array(actual),
        np.full(size, REQUESTS),
        np.full((size, len(TIER_CHANCES)), plain),
    )


def all_predicted(judged: Windows, unavailability: float) -> np.ndarray:
    return np.full((judged.page.size, len(TIER_CHANCES)), unavailability)


def test_what_is_counted_is_pages_sites_with_a_window_and_windows() -> None:
    judged = windows([0, 0, 0, 1], [2, 2, 5, 2], [0.0, 0.0, 0.2, 0.2])
    found = figures(judged, all_predicted(judged, 0.1))
    assert {name: found["about"][name] for name in ("pages", "sites", "windows")} == {
        "pages": 2,
        "sites": 3,
        "windows": 4,
    }
    assert found["balanced"]["missed"] == 0.5


def test_windows_of_one_page_that_fall_together_count_as_one_case() -> None:
    """Ten pages, one of which misses all of its windows: whatever their number, that is one page of ten."""
    few = windows(list(range(10)), [0] * 10, [0.2] + [0.0] * 9)
    many = windows([page for page in range(10) for _ in range(50)], [0] * 500, [0.2] * 50 + [0.0] * 450)
    errors = [figures(each, all_predicted(each, 0.1))["balanced"]["standard_error"] for each in (few, many)]
    assert errors[0] == errors[1] == pytest.approx(0.1, abs=1e-5)


def test_a_loss_is_relative_to_the_block_bootstraps_and_nothing_where_that_lost_nothing() -> None:
    judged = windows([0, 1], [0, 0], [0.2, 0.2], plain=0.1)
    assert figures(judged, all_predicted(judged, 0.15))["aggressive"]["loss_relative"] == 0.5
    quiet = windows([0, 1], [0, 0], [0.0, 0.0])
    assert figures(quiet, all_predicted(quiet, 0.1))["aggressive"]["loss_relative"] is None


def test_the_table_ends_with_the_whole_and_leaves_out_pages_without_a_window() -> None:
    judged = windows([0, 2], [0, 0], [0.2, 0.0], plain=0.1)
    lines = table({"one+a": {}, "two+b": {}, "three+c": {}}, judged, all_predicted(judged, 0.1)).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| one/a", "| three/c", "| **all**"]
    assert "| **all** | 2 | 2 | 50.0 / 50.0 / 50.0 % |" in lines[-1]
