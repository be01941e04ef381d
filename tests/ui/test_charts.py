from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ui import charts
from apps.ui.charts.scale import ticks_down_from_one, ticks_from_zero
from apps.ui.charts.svg import fit, text_width

HOSTILE = "</text><script>alert(1)</script>\"'&\x00\x1b"
START = datetime(2025, 10, 1, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def daily(values: Sequence[float | None], target: float | None = 0.999) -> charts.Chart:
    points = [
        charts.AvailabilityPoint(date(2025, 9, 1) + timedelta(days=index), value)
        for index, value in enumerate(values)
    ]
    return charts.daily_availability(
        points, target=target, events=[charts.Event(date(2025, 9, 1), HOSTILE, HOSTILE)], subject=HOSTILE
    )


def burn() -> charts.Chart:
    points = [charts.BudgetPoint(START + timedelta(days=day), 1 - day / 20) for day in range(15)]
    return charts.burn_down(
        points,
        start=START,
        end=START + timedelta(days=28),
        forecast_end=-0.3,
        events=[charts.Event(START + timedelta(days=3), HOSTILE)],
    )


def latency() -> charts.Chart:
    at = [date(2025, 9, 1) + timedelta(days=index) for index in range(5)]
    return charts.latency_lines(at, [charts.LatencySeries(HOSTILE, (1.0, None, 3.0, 2.0, 5.0), 4.0)])


def waterfall() -> charts.Chart:
    return charts.waterfall(0.9999, [charts.Contribution(HOSTILE, -0.0004)], 0.9995, base_label=HOSTILE)


def intervals() -> charts.Chart:
    tier = charts.TierInterval(HOSTILE, 0.999, 0.998, 0.9995, 0.05)
    return charts.tier_intervals([tier], references=[charts.Reference(HOSTILE, 0.9991)])


def graph() -> charts.Chart:
    nodes = [charts.GraphNode(name, name, f"/s/{name}", HOSTILE, "bad", HOSTILE) for name in (HOSTILE, "b")]
    return charts.dependency_graph(nodes, [charts.GraphEdge(HOSTILE, "b", detail=HOSTILE)], HOSTILE)


ALL: list[Callable[[], object]] = [
    lambda: daily([0.9999, None, 0.5, 0.9995]),
    lambda: daily([]),
    lambda: daily([None, None], None),
    burn,
    latency,
    waterfall,
    intervals,
    graph,
    lambda: charts.meter(-0.2, label=HOSTILE, level="bad"),
    lambda: charts.meter(None, label=HOSTILE),
    lambda: charts.sparkline([1.0, None, 2.0], label=HOSTILE),
    lambda: charts.sparkline([], label=HOSTILE),
    lambda: charts.backtest_strip([charts.Window(START, START + timedelta(days=28), 0.99, True)]),
    lambda: charts.backtest_strip([]),
]


@pytest.mark.parametrize("draw", ALL)
def test_it_is_valid_xml_without_markup_from_its_input(draw: Callable[[], object]) -> None:
    root = ElementTree.fromstring(str(draw()))
    tags = {element.tag for element in root.iter()}
    assert "script" not in tags
    assert root.get("aria-label")
    for element in root.iter():
        assert "style" not in element.attrib
        assert not [name for name in element.attrib if name.startswith("on")]


@pytest.mark.parametrize("draw", ALL)
def test_it_gives_the_same_bytes_each_time(draw: Callable[[], object]) -> None:
    assert str(draw()) == str(draw())


def test_a_chart_prints_as_its_drawing_in_a_template() -> None:
    from django.template import Context, Engine

    printed = Engine().from_string("{{ chart }}").render(Context({"chart": latency()}))
    assert printed.startswith("<svg")


def test_a_gap_breaks_the_line() -> None:
    with_gap = ElementTree.fromstring(str(daily([0.9999, 0.9998, None, 0.9999, 0.9998])))
    whole = ElementTree.fromstring(str(daily([0.9999, 0.9998, 0.9999, 0.9999, 0.9998])))
    assert len(with_gap.findall("polyline[@class='series']")) == 2
    assert len(whole.findall("polyline[@class='series']")) == 1


def test_each_day_under_the_target_is_marked() -> None:
    drawing = ElementTree.fromstring(str(daily([0.9999, 0.9985, 0.9999, 0.9988, 0.9999])))
    assert len(drawing.findall("rect[@class='miss']")) == 2


def test_a_terrible_day_stands_at_the_foot_with_its_number() -> None:
    drawing = ElementTree.fromstring(str(daily([0.9999] * 20 + [0.31] + [0.9999] * 20)))
    assert len(drawing.findall("polygon[@class='miss']")) == 1
    assert "31" in [element.text for element in drawing.iter("text")]


def test_the_alternative_says_what_the_drawing_shows() -> None:
    chart = daily([0.9999, 0.998, None])
    assert "on 1 of 2 days" in chart.alternative
    assert "1 without data" in chart.alternative
    assert len(chart.table.rows) == 3
    assert chart.table.rows[2][1] == "—"


@given(st.floats(min_value=0.0, max_value=0.9999999))
def test_an_availability_axis_has_at_most_three_lines_and_ends_at_one(low: float) -> None:
    ticks = ticks_down_from_one(low)
    assert len(ticks) <= 3
    assert ticks[0] == 1.0
    assert ticks[-1] <= low + 1e-7


@given(st.floats(min_value=1e-3, max_value=1e9))
def test_a_scale_from_zero_holds_its_highest_value(high: float) -> None:
    ticks = ticks_from_zero(high)
    assert len(ticks) <= 3
    assert ticks[-1] >= high * (1 - 1e-9)


def test_the_waterfall_says_where_its_scale_begins() -> None:
    words = [element.text or "" for element in ElementTree.fromstring(str(waterfall())).iter("text")]
    assert any(text.startswith("the scale begins at 99.") for text in words)


def test_an_overspent_budget_goes_below_zero() -> None:
    points = [charts.BudgetPoint(START, 1.0), charts.BudgetPoint(START + timedelta(days=9), -0.4)]
    chart = charts.burn_down(points, start=START, end=START + timedelta(days=28))
    words = [element.text for element in ElementTree.fromstring(str(chart)).iter("text")]
    assert "overspent" in words
    assert "−40\u202f% left" in words


def test_a_missed_window_is_taller_than_a_kept_one() -> None:
    kept = charts.Window(START, START + timedelta(days=28), 0.9999, False)
    missed = charts.Window(START, START + timedelta(days=28), 0.99, True)
    bars = ElementTree.fromstring(str(charts.backtest_strip([kept, missed]))).findall("rect")
    assert float(bars[1].get("height", "0")) > float(bars[0].get("height", "0"))
    assert ElementTree.fromstring(str(charts.backtest_strip([kept, missed]))).get("aria-label") == (
        "1 of 2 past months missed"
    )


def test_a_long_word_is_cut_in_its_middle_and_fits() -> None:
    name = "PetAdoptionStatusUpdater/prod_AWS::ApiGateway::Stage"
    short = fit(name, 120)
    assert text_width(short) <= 120
    assert re.match(r"^Pet.*….*tage$", short)
    assert fit("ledger", 120) == "ledger"
