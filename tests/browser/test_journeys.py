"""Journeys and what-ifs by clicks: one is created and computed, steps are tried and shared by their address."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import SignedIn, axe


def fill_path(page: Page, number: int, called: str, share: str, steps: str) -> None:
    path = page.get_by_role("region", name=f"Path {number}")
    path.get_by_label("Called").fill(called)
    path.get_by_label("Share of the journeys").fill(share)
    path.get_by_label("Services, one a line, in order").fill(steps)


def test_the_demo_has_two_journeys_that_say_how_often_they_succeed(signed_in: SignedIn) -> None:
    page = signed_in("visitor")
    page.goto("/")
    page.get_by_role("navigation", name="Rooms").get_by_role("link", name="Journeys").click()
    expect(page.get_by_role("link", name="Payout", exact=True)).to_be_visible()
    page.get_by_role("link", name="Check out", exact=True).click()
    expect(page.locator("main")).to_contain_text("of the journeys succeed")
    expect(page.get_by_role("heading", name=re.compile("Weakest link: "))).to_be_visible()
    latency = page.get_by_role("region", name="How long it takes")
    expect(latency).to_contain_text("within its target")
    expect(latency.get_by_role("row", name=re.compile("^checkout-web"))).to_contain_text("ms")
    assert axe(page) == []
    expect(page.get_by_role("link", name="Edit journey")).to_have_count(0)


def test_a_journey_is_created_by_clicks_and_computed_by_a_worker(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    page.goto("/journeys/")
    page.get_by_role("link", name="Create journey").click()
    page.get_by_label("Name", exact=True).fill("Find a product")
    page.get_by_label("Team", exact=True).select_option("shop")
    page.get_by_label(re.compile("^Target")).fill("99.2")
    page.get_by_label("Latency target").fill("2,500")
    fill_path(page, 1, "by search", "70", "storefront\nserch")
    expect(page.locator("#journey-preview")).to_contain_text("There is no service called serch.")
    page.get_by_role("button", name="Add a path").click()
    fill_path(page, 2, "by category", "30", "storefront\nproduct-catalog")
    page.get_by_role("main").get_by_role("button", name="Create journey").click()
    # What is wrong stands beside its field, and nothing that was typed is lost.
    wrong = page.get_by_role("region", name="Path 1").get_by_label("Services, one a line, in order")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    assert axe(page) == []
    fill_path(page, 1, "by search", "70", "storefront\nsearch\nrelated-items × 0.4")
    expect(page.locator("#journey-preview")).to_contain_text("a journey with 2 paths over 4 services")
    page.get_by_role("main").get_by_role("button", name="Create journey").click()
    expect(page).to_have_url(re.compile("/journeys/find-a-product/"))
    # The page follows the worker by itself.
    expect(page.locator("main")).to_contain_text("of the journeys succeed", timeout=60_000)
    expect(page.locator("main")).to_contain_text("The target of 99.2")
    expect(page.locator("main")).to_contain_text("the latency target is 2.5")
    page.get_by_role("link", name="Delete journey…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Find a product and its result are deleted.")
    assert axe(page) == []
    dialog.get_by_role("button", name="Cancel").or_(dialog.get_by_role("link", name="Cancel")).click()


def test_a_journey_is_created_without_a_script(signed_in: SignedIn) -> None:
    page = signed_in("owner", java_script_enabled=False)
    page.goto("/journeys/new/")
    page.get_by_label("Name", exact=True).fill("Pay by card")
    fill_path(page, 1, "", "100", "payments-api")
    page.get_by_role("button", name="Add a path").click()
    expect(page.get_by_role("region", name="Path 2")).to_be_visible()
    page.get_by_role("button", name="Remove Path 2").click()
    page.get_by_role("main").get_by_role("button", name="Create journey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pay by card")


def test_steps_are_tried_taken_away_and_shared_by_their_address(signed_in: SignedIn) -> None:
    page = signed_in("visitor")
    page.goto("/services/checkout-web/")
    page.get_by_role("link", name="Try a change").click()
    expect(page.locator("main")).to_contain_text("Today checkout-web can keep")
    page.evaluate("document.documentElement.dataset.sameDocument = 'yes'")
    page.get_by_label("What to change").select_option("retry")
    expect(page.get_by_label("More tries")).to_have_value("1")
    page.get_by_label("Of", exact=True).select_option("orders")
    page.get_by_label("More tries").fill("2")
    page.get_by_role("button", name="Try this step").click()
    expect(page).to_have_url(re.compile(r"step=retry%3A2%3Aorders$"))
    expect(page.locator("main")).to_contain_text("With this step, checkout-web could keep")
    page.get_by_label("What to change").select_option("fallback")
    expect(page.get_by_label("Share of failures it answers")).to_have_value("90")
    page.get_by_label("Of", exact=True).select_option("payments-api")
    page.get_by_role("button", name="Try this step").click()
    expect(page).to_have_url(re.compile(r"step=retry%3A2%3Aorders&step=fallback%3A0.9%3Apayments-api$"))
    expect(page.locator("html")).to_have_attribute("data-same-document", "yes")
    assert axe(page) == []
    answer = page.locator("#what-if .head p").inner_text()

    other = signed_in("sre")
    other.goto(page.url)
    expect(other.locator("#what-if .head p")).to_have_text(answer)
    other.get_by_role("link", name=re.compile("Remove: 2 more tries of orders")).click()
    expect(other).to_have_url(re.compile(r"\?step=fallback%3A0.9%3Apayments-api$"))
    other.goto("/audit/?actor=visitor")
    expect(other.locator("main")).not_to_contain_text("checkout-web")
