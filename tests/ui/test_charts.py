from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ui import charts
from apps.ui.charts.scale import spread, ticks_down_from_one, ticks_from_zero
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


def past(*values: float | None) -> list[charts.Window]:
    return [
        charts.Window(
            START + timedelta(days=14 * at), START + timedelta(days=14 * at + 28), value, (value or 1) < 0.999
        )
        for at, value in enumerate(values)
    ]


def fan(*values: float | None) -> charts.Chart:
    tiers = [
        charts.TierInterval("Conservative", 0.998, 0.9975, 0.9986, 0.01),
        charts.TierInterval(HOSTILE, 0.999, 0.998, 0.9995, 0.05),
        charts.TierInterval("Aggressive", 0.9995, 0.9991, 0.9998, 0.2),
    ]
    return charts.next_window(tiers, past=past(*values), references=[charts.Reference(HOSTILE, 0.9991)])


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
    lambda: waterfall().stacked,
    lambda: fan(0.9993, None, 0.5, 0.9985, 0.9994).stacked,
    lambda: fan().stacked,
    fan,
    lambda: fan(0.9993, None, 0.5, 0.9985, 0.9994),
    lambda: charts.next_window([]),
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


def test_a_waterfall_on_a_narrow_screen_says_the_same_and_its_labels_have_the_whole_width() -> None:
    label = "What such histories have not shown yet"
    chart = charts.waterfall(1.0, [charts.Contribution(label, -0.0004)], 0.9996)
    assert chart.stacked is not None
    wide, narrow = (ElementTree.fromstring(str(one)) for one in (chart.svg, chart.stacked))
    said = [sorted(element.text or "" for element in one.iter("text")) for one in (wide, narrow)]
    assert said[0] == said[1]
    assert label in said[1]
    assert float((narrow.get("viewBox") or "").split()[2]) < 340
    for bar in narrow.iter("rect"):
        assert float(bar.get("x", "0")) + float(bar.get("width", "0")) <= 320.1
    assert narrow.get("aria-label") == wide.get("aria-label")


def test_a_fan_on_a_narrow_screen_keeps_past_bands_tiers_and_names_in_sight() -> None:
    tiers = [
        charts.TierInterval("Conservative", 0.99868, 0.9975, 0.9999, 0.01),
        charts.TierInterval("Balanced", 0.9991, 0.998, 0.9995, 0.05),
        charts.TierInterval("Aggressive", 0.9995, 0.9991, 0.9998, 0.2),
    ]
    chart = charts.next_window(
        tiers, past=past(0.9993, 0.9985, 0.9994), references=[charts.Reference("observed, 120 d", 0.99931)]
    )
    assert chart.stacked is not None
    narrow = ElementTree.fromstring(str(chart.stacked))
    width = float((narrow.get("viewBox") or "").split()[2])
    assert width < 360
    said = [element.text or "" for element in narrow.iter("text")]
    for name in (
        "Conservative 99.87",
        "Balanced 99.91",
        "observed, 120 d 99.931",
        "next 28 days",
        "4 in 100",
    ):
        assert name in said
    places = [float(one.get("cx", "0")) for one in narrow.iter("circle")]
    assert len(places) == 2 + 3, "two windows kept and three tiers"
    assert all(36 < place < width for place in places)


def test_an_overspent_budget_goes_below_zero() -> None:
    points = [charts.BudgetPoint(START, 1.0), charts.BudgetPoint(START + timedelta(days=9), -0.4)]
    chart = charts.burn_down(points, start=START, end=START + timedelta(days=28))
    words = [element.text for element in ElementTree.fromstring(str(chart)).iter("text")]
    assert "overspent" in words
    assert "−40\u202f% left" in words


def test_a_missed_window_is_taller_than_a_kept_one() -> None:
    kept = charts.Window(START, START + timedelta(days=28), 0.9999, False)
    missed = charts.Window(START, START + timedelta(days=28), 0.99, True)
    bars = ElementTree.fromstring(str(charts.backtest_strip([kept, missed]))).findall("g")
    heights = [float(bar.find("rect").get("height", "0")) for bar in bars]  # type: ignore[union-attr]
    assert heights[1] > heights[0]
    assert [bar.find("path") is not None for bar in bars] == [False, True]
    assert ElementTree.fromstring(str(charts.backtest_strip([kept, missed]))).get("aria-label") == (
        "1 of 2 past windows missed"
    )


def test_a_long_word_is_cut_in_its_middle_and_fits() -> None:
    name = "PetAdoptionStatusUpdater/prod_AWS::ApiGateway::Stage"
    short = fit(name, 120)
    assert text_width(short) <= 120
    assert re.match(r"^Pet.*….*tage$", short)
    assert fit("ledger", 120) == "ledger"


def test_every_past_window_of_a_strip_says_its_dates_its_value_and_what_became_of_it() -> None:
    bars = ElementTree.fromstring(str(charts.backtest_strip(past(0.9993, None, 0.9985)))).findall("g")
    assert [bar.findtext("title") for bar in bars] == [
        "1 Oct to 29 Oct: 99.93\u202f%, kept",
        "15 Oct to 12 Nov: no data",
        "29 Oct to 26 Nov: 99.85\u202f%, missed",
    ]
    assert [bar.get("tabindex") for bar in bars] == ["-1", "-1", "0"]


def test_the_fan_says_how_many_windows_in_a_hundred_end_in_each_band() -> None:
    chart = fan(0.9993, 0.5, 0.9985, 0.9994)
    drawing = ElementTree.fromstring(str(chart))
    bands = [
        one.findtext("title") or "" for one in drawing.findall("polygon") if "band" in one.get("class", "")
    ]
    assert [text.split()[0] for text in bands] == ["80", "15", "4"]
    assert "between 99.95\u202f% and 100\u202f%" in bands[0]
    assert len(drawing.findall("rect[@class='miss']")) == 1, "a window under the middle tier carries a square"
    assert len(drawing.findall("polygon[@class='miss']")) == 1, "one under the axis a triangle at its foot"
    assert "2 of them below" in chart.alternative
    assert chart.table.rows[-1][0].endswith("10 Dec")


def test_the_names_beside_the_fan_stand_clear_of_each_other() -> None:
    tiers = [charts.TierInterval(name, 0.9990001, 0.999, 0.9991, 0.05) for name in ("a", "b", "c")]
    levels = [charts.Reference(name, 0.999) for name in ("observed", "SLO", "dependencies")]
    drawing = ElementTree.fromstring(str(charts.next_window(tiers, references=levels)))
    names = sorted(float(one.get("y", "0")) for one in drawing.iter("text") if one.get("x") == "570")
    assert len(names) == 6
    assert all(below - above >= 14 for above, below in itertools.pairwise(names))


def with_levels_below() -> charts.Chart:
    tiers = [
        charts.TierInterval("Conservative", 0.999945, 0.9884, 0.99999, 0.01),
        charts.TierInterval("Balanced", 0.999959, 0.9974, 0.99999, 0.05),
        charts.TierInterval("Aggressive", 0.999978, 0.99995, 0.99999, 0.2),
    ]
    levels = [charts.Reference("observed, 120 d", 0.9999831), charts.Reference("SLO", 0.9991)]
    values = (0.99998, 0.9998, 0.99981, 0.99998, 0.99982, 0.99983, *[0.99998] * 6)
    return charts.next_window(tiers, past=past(*values), references=levels)


@pytest.mark.parametrize("name", ["svg", "stacked"])
def test_what_lies_below_the_fans_axis_has_an_arrow_and_its_true_figure(name: str) -> None:
    drawing = ElementTree.fromstring(str(getattr(with_levels_below(), name)))
    arrows = [one.findtext("title") or "" for one in drawing.findall("path[@class='beyond']")]
    assert [text.split(":")[0] for text in arrows] == ["Conservative", "Balanced", "SLO 99.91"]
    said = [one.text for one in drawing.iter("text")]
    assert "bars to 98.84, 99.74" in said
    assert "SLO 99.91" in said
    lines = [one for one in drawing.findall("line") if one.get("class") == "target-line"]
    assert len(lines) == 1, "no line stands for a level that is not on the axis"


@pytest.mark.parametrize("name", ["svg", "stacked"])
def test_figures_of_windows_below_the_axis_hide_no_mark(name: str) -> None:
    drawing = ElementTree.fromstring(str(getattr(with_levels_below(), name)))
    feet = [one for one in drawing.findall("polygon") if one.get("class") == "miss"]
    assert len(feet) == 4
    tops = {float(pair.split(",")[1]) for one in feet for pair in (one.get("points") or "").split()}
    figures = [one for one in drawing.iter("text") if one.get("class") == "strong halo"]
    assert figures, "the worst says its figure"
    assert "99.98" in [one.text for one in figures]
    assert all(float(one.get("y", "0")) < min(tops) for one in figures)


@pytest.mark.parametrize("name", ["svg", "stacked"])
def test_no_word_of_the_fan_is_cut_at_either_side(name: str) -> None:
    drawing = ElementTree.fromstring(str(getattr(with_levels_below(), name)))
    width = float((drawing.get("viewBox") or "").split()[2])
    for one in drawing.iter("text"):
        wide = text_width(one.text or "") * (1.12 if "strong" in one.get("class", "") else 1)
        x = float(one.get("x", "0"))
        left = x - {"end": wide, "middle": wide / 2}.get(one.get("text-anchor", ""), 0)
        assert left >= -0.5, one.text
        assert left + wide <= width + 0.5, one.text
        assert "…" not in (one.text or "")


@pytest.mark.parametrize("draw", [burn, latency, lambda: daily([0.9999, None, 0.5, 0.9995])])
def test_a_scrolled_charts_axis_has_the_same_figures_at_the_same_heights(
    draw: Callable[[], charts.Chart],
) -> None:
    chart = draw()
    axis, plot = ElementTree.fromstring(str(chart.axis)), ElementTree.fromstring(str(chart))
    of_axis = [(one.text, one.get("y")) for one in axis.iter("text")]
    of_plot = [(one.text, one.get("y")) for one in plot.iter("text") if one.get("class") == "at-left"]
    assert of_axis == of_plot
    assert of_axis
    assert (axis.get("viewBox") or "").split()[3] == (plot.get("viewBox") or "").split()[3]
    assert axis.get("aria-hidden") == "true"


@given(st.lists(st.floats(min_value=0, max_value=200), max_size=12).map(sorted))
def test_names_are_spread_no_further_than_needed_and_stay_inside(wanted: list[float]) -> None:
    placed = spread(wanted, 14, 0, 200)
    assert all(after - before >= 14 - 1e-9 for before, after in itertools.pairwise(placed))
    assert all(-1e-9 <= at <= 200 + 1e-9 for at in placed)
    clear = all(after - before >= 14 for before, after in itertools.pairwise(wanted))
    assert not clear or placed == pytest.approx(wanted)


def texts(chart: object) -> dict[str, tuple[float, float]]:
    return {
        element.text or "": (float(element.get("x", "0")), float(element.get("y", "0")))
        for element in ElementTree.fromstring(str(chart)).iter("text")
    }


def test_a_target_is_named_beside_the_plot_where_no_line_runs() -> None:
    chart = charts.daily_availability(
        [charts.AvailabilityPoint(date(2025, 9, day), 0.9991) for day in range(1, 11)],
        target=0.999,
        events=[charts.Event(date(2025, 9, 10), "SLO 99.9")],
    )
    line = ElementTree.fromstring(str(chart)).find("polyline[@class='series']")
    assert line is not None
    rightmost = max(float(pair.split(",")[0]) for pair in line.get("points", "").split())
    assert texts(chart)["target 99.9"][0] > rightmost
    assert texts(chart)["SLO 99.9"][0] < rightmost


def test_latencies_and_their_targets_are_named_one_under_the_other() -> None:
    at = [date(2025, 9, day) for day in range(1, 6)]
    lines = [charts.LatencySeries(name, (99.0,) * 5, 100.0) for name in ("p95", "p99")]
    found = texts(charts.latency_lines(at, lines))
    places = sorted(
        found[name][1] for name in ("p95", "p99", "p95 target 100\u202fms", "p99 target 100\u202fms")
    )
    assert all(below - above >= 14 - 1e-6 for above, below in itertools.pairwise(places))


@pytest.mark.parametrize(("pace", "stands_above"), [(1.6, True), (0.4, False)])
def test_the_even_spend_is_named_on_the_side_where_the_budget_does_not_run(
    pace: float, stands_above: bool
) -> None:
    points = [charts.BudgetPoint(START + timedelta(days=day), 1 - pace * day / 28) for day in range(29)]
    chart = charts.burn_down(points, start=START, end=START + timedelta(days=28))
    x, y = texts(chart)["even spend"]
    dashed = ElementTree.fromstring(str(chart)).find("line[@class='target-line']")
    assert dashed is not None
    x1, x2, y1, y2 = (float(dashed.get(name, "0")) for name in ("x1", "x2", "y1", "y2"))
    assert (y < y1 + (y2 - y1) * (x - x1) / (x2 - x1)) is stands_above


def test_one_caller_calls_and_two_call() -> None:
    def said(*callers: str) -> str:
        nodes = [charts.GraphNode(name, name, "/") for name in ("api", *callers)]
        return charts.dependency_graph(
            nodes, [charts.GraphEdge(one, "api") for one in callers], "api"
        ).alternative

    assert said("a").startswith("api: 1 service calls it")
    assert said("a", "b").startswith("api: 2 services call it")
    assert said().startswith("api: no service calls it")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: daily([0.99999] * 5, target=0.9999999),
        lambda: charts.latency_lines(
            [date(2025, 9, 1), date(2025, 9, 2)], [charts.LatencySeries("p99", (1.0, 2.0), 123456.78)]
        ),
        lambda: charts.burn_down(
            [charts.BudgetPoint(START + timedelta(days=28), -123.4)],
            start=START,
            end=START + timedelta(days=28),
        ),
        lambda: fan(0.9993, 0.9994),
    ],
)
def test_no_name_beside_a_plot_is_cut_off(draw: Callable[[], charts.Chart]) -> None:
    for element in ElementTree.fromstring(str(draw())).iter("text"):
        if element.get("text-anchor") is None:
            wide = text_width(element.text or "") * (1.12 if "strong" in element.get("class", "") else 1)
            assert float(element.get("x", "0")) + wide <= 720.5, element.text
