"""That pages can be read: nothing lies over anything, charts show now, a phone shows what matters first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SignedIn
from tests.browser.test_console import PAGES

OVERLAPS = (Path(__file__).parent / "overlaps.js").read_text()
PHONE = {"width": 390, "height": 844}
MORE = (
    "/services/payments-api/",
    "/services/orders/",
    "/services/sepa-gw/",
    "/services/notify/",
    "/map/orders/?depth=4",
)


@pytest.mark.parametrize("width", [1440, 1000, 390])
def test_no_words_lie_over_others_on_any_page(signed_in: SignedIn, width: int) -> None:
    page = signed_in("sre", viewport={"width": width, "height": 900})
    found = {}
    for path in (*PAGES, *MORE):
        page.goto(path)
        over = page.evaluate(OVERLAPS)
        if over:
            found[path] = over
    assert found == {}


def test_a_chart_too_wide_for_a_phone_opens_at_now(signed_in: SignedIn) -> None:
    page = signed_in("visitor", viewport=PHONE)
    page.goto("/services/payments-api/")
    chart = page.get_by_role("group", name="Chart: Availability by day")
    left, furthest = chart.evaluate("one => [one.scrollLeft, one.scrollWidth - one.clientWidth]")
    assert furthest > 100
    assert left == pytest.approx(furthest, abs=1.5)


@pytest.mark.parametrize("width", [390, 320, 700, 1440])
def test_the_fan_and_the_waterfall_are_never_scrolled_and_drawn_once(signed_in: SignedIn, width: int) -> None:
    page = signed_in("visitor", viewport={"width": width, "height": 844})
    page.goto("/services/payments-api/")
    for name in ("Chart: Why", "Chart: The next 28 days"):
        chart = page.get_by_role("group", name=re.compile(f"^{name}"))
        assert chart.evaluate("one => one.scrollWidth - one.clientWidth") <= 0
        assert chart.get_by_role("img").count() == 1, "the other drawing is not shown"


def strip_of(page: Page, tier: str) -> Locator:
    return page.get_by_role("region", name=f"{tier} tier").locator("[data-strip]")


def test_past_windows_are_walked_with_the_arrow_keys_and_told(signed_in: SignedIn) -> None:
    page = signed_in("visitor")
    page.goto("/services/payments-api/")
    strip = strip_of(page, "Balanced")
    words = strip.locator("[data-strip-words]")
    usual = words.inner_text()
    assert usual.startswith("Would have missed")
    bars = strip.get_by_role("img")
    bars.last.focus()
    newest = words.inner_text()
    assert re.fullmatch(r".+ to .+: 9.+%, (kept|missed)", newest)
    page.keyboard.press("ArrowLeft")
    expect(words).not_to_have_text(newest)
    page.keyboard.press("Home")
    expect(bars.first).to_be_focused()
    page.keyboard.press("Tab")
    expect(words).to_have_text(usual)
    bars.first.hover()
    expect(words).to_have_text(re.compile(" to .+: 9"))


def test_what_a_chance_means_is_told_in_the_services_own_numbers(signed_in: SignedIn) -> None:
    page = signed_in("visitor")
    page.goto("/services/payments-api/")
    text = page.get_by_text("In 20 windows like the next 28 days")
    expect(text).to_be_hidden()
    page.get_by_text(re.compile("What does 5.% mean here")).click()
    expect(text).to_be_visible()
    target = page.get_by_role("region", name="Balanced tier").locator(".target").inner_text()
    expect(text).to_contain_text(f"payments-api ends below {target}")


def test_a_phone_shows_a_services_state_and_what_is_left_without_scrolling(signed_in: SignedIn) -> None:
    page = signed_in("visitor", viewport=PHONE)
    page.goto("/services/")
    row = page.locator("#listing tbody tr").filter(has_text="checkout-web")
    for part in (row.locator(".chip"), row.locator("[data-label=left]"), row.locator("[data-label=SLO]")):
        box = part.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    page.goto("/slos/")
    meter = page.locator("#listing .meter").first.bounding_box()
    assert meter is not None
    assert meter["width"] > 60
    assert meter["x"] + meter["width"] <= PHONE["width"]


def test_another_service_is_chosen_on_the_map(signed_in: SignedIn) -> None:
    page = signed_in("visitor")
    page.goto("/map/")
    around = page.get_by_label("Around")
    around.fill("payments-api")
    around.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Around payments-api")


def test_a_refused_form_keeps_quiet_about_a_field_that_was_made_larger(signed_in: SignedIn) -> None:
    """Making a text area larger gives it an inline style, which its successor must not be given."""
    page = signed_in("sre")
    page.goto("/services/payments-api/")
    page.get_by_role("link", name="Edit the Availability SLO").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").evaluate(
        "field => { field.style.height = '160px'; field.form.noValidate = true }"
    )
    dialog.locator("#dialog-submit").click()
    expect(dialog).to_contain_text("This is needed.")
    # The fixture fails on what the browser's console says of the policy.
