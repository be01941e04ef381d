"""A drawing that is kept is the one that would be drawn now."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from apps.ui.charts import (
    AvailabilityPoint,
    BudgetPoint,
    Contribution,
    burn_down,
    daily_availability,
    waterfall,
)
from apps.ui.charts.svg import Chart, fixed, points_attribute

FIRST = date(2026, 11, 1)


def availability(share: float) -> Chart:
    days = [AvailabilityPoint(FIRST + timedelta(days=n), share, share, 1.0, 100.0, 1.0) for n in range(4)]
    return daily_availability(days, target=0.99)


def causes(share: float) -> Chart:
    return waterfall(0.999, [Contribution("Dependencies", share - 1)], share)


@pytest.mark.parametrize("draw", [availability, causes])
def test_equal_figures_are_drawn_once_and_others_anew(draw: object) -> None:
    assert callable(draw)
    first, again, other = draw(0.995), draw(0.995), draw(0.98)
    assert first is again
    assert other.svg != first.svg
    assert other.table != first.table


def test_a_budget_of_another_window_is_another_drawing() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)

    def drawn(begins: datetime) -> Chart:
        points = [BudgetPoint(begins + timedelta(days=n), 1 - n / 10) for n in range(4)]
        return burn_down(points, start=begins, end=begins + timedelta(days=28))

    assert drawn(start) is drawn(start)
    assert drawn(start).svg != drawn(start + timedelta(days=1)).svg


@pytest.mark.parametrize("values", [(0.0, -0.0), (10.04, -0.04), (-10.0, 100.0), (9.96, 0.05), (-0.4, 20.0)])
def test_coordinates_of_a_line_are_written_like_any_other(values: tuple[float, float]) -> None:
    x, y = values
    assert points_attribute([(x, y), (y, x)]) == f"{fixed(x)},{fixed(y)} {fixed(y)},{fixed(x)}"
