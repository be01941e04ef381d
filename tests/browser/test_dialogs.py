"""The dialog on slow networks and over the end of a session: it says what it does, and loses nothing that was typed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import SignedIn, sign_in
from tests.browser.test_decisions import open_service

PREVIEWS = "**/actions/*/preview/"


def held(page: Page, pattern: str) -> Callable[[], None]:
    """Hold the requests to these addresses back until what is returned is called."""
    waiting: list[Route] = []
    open_gate: list[bool] = []

    def hold(route: Route) -> None:
        if open_gate:
            route.continue_()
        else:
            waiting.append(route)

    page.route(pattern, hold)

    def let_go() -> None:
        open_gate.append(True)
        for route in waiting:
            route.continue_()

    return let_go


def modify(page: Page, service: str) -> Locator:
    open_service(page, service)
    page.get_by_role("link", name="Modify… the Availability recommendation").click()
    return page.get_by_role("dialog")


def test_the_button_is_off_until_the_preview_shows_what_is_typed(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    dialog = modify(page, "payout-router")
    let_go = held(page, PREVIEWS)
    dialog.get_by_label("Target").fill("99.99")
    button = dialog.locator("#dialog-submit")
    expect(button).to_be_disabled(timeout=100)
    expect(button).to_have_text("Previewing…")
    page.keyboard.press("Enter")
    let_go()
    expect(button).to_have_text(re.compile(r"Set 99\.99"))
    expect(button).to_be_enabled()
    expect(dialog.get_by_label("Target")).to_have_value("99.99")


def test_a_lost_preview_leaves_a_button_that_still_does_nothing_unseen(signed_in: SignedIn) -> None:
    page = signed_in("sre", complains=["htmx:sendError"])
    dialog = modify(page, "payout-router")
    page.route(PREVIEWS, lambda route: route.abort())
    dialog.get_by_label("Target").fill("99.97")
    dialog.get_by_label("Why").fill("Because.")
    button = dialog.locator("#dialog-submit")
    expect(button).to_have_text("Try again")
    page.unroute(PREVIEWS)
    button.click()
    expect(dialog).to_contain_text("Nothing has changed yet")
    expect(button).to_have_text(re.compile(r"Set 99\.97"))
    expect(dialog.get_by_label("Why")).to_have_value("Because.")


def test_a_dialog_that_is_slow_to_come_opens_at_once_and_can_be_closed(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    open_service(page, "payout-router")
    let_go = held(page, "**/actions/slos.modify/?*")
    page.get_by_role("link", name="Modify… the Availability recommendation").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Opening…")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    let_go()
    page.get_by_role("link", name="Modify… the Availability recommendation").click()
    expect(dialog).to_contain_text("Modify recommendation")


@pytest.mark.parametrize("same_person", [True, False])
def test_what_was_typed_outlives_the_session_for_the_same_person_only(
    signed_in: SignedIn, passwords: dict[str, str], same_person: bool
) -> None:
    page = signed_in("sre", storage_state=None)
    page.goto("/sign-in/")
    sign_in(page, "owner", passwords["owner"])
    dialog = modify(page, "wallet")
    dialog.get_by_label("Target").fill("99.1")
    expect(dialog.locator("#dialog-submit")).to_have_text(re.compile(r"Set 99\.1"))
    page.context.clear_cookies(name="ballast_session")
    dialog.get_by_label("Why").fill("Agreed with the shop on Monday.")
    expect(page).to_have_url(re.compile("/sign-in/"))
    name = "owner" if same_person else "sre"
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(passwords[name])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("wallet")
    if not same_person:
        page.wait_for_load_state("networkidle")
        expect(dialog).to_have_count(0)
        return
    expect(dialog.get_by_label("Why")).to_have_value("Agreed with the shop on Monday.")
    expect(dialog.get_by_label("Target")).to_have_value("99.1")
    expect(dialog.locator("#dialog-submit")).to_have_text(re.compile(r"Set 99\.1"))


def test_a_change_is_taken_back_from_its_message(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    dialog = modify(page, "payout-router")
    facts = page.locator("main .facts").first
    before = re.match(r"99\.\d\d", facts.locator("dd").first.inner_text())
    assert before is not None
    dialog.get_by_label("Target").fill("97.5")
    dialog.get_by_label("Why").fill("By mistake.")
    dialog.get_by_role("button", name="Set 97.5").click()
    toasts = page.locator("#toasts")
    expect(toasts).to_contain_text("payout-router now has an SLO of 97.5")
    toasts.get_by_role("button", name="Undo").click()
    expect(toasts).to_contain_text(f"payout-router now has an SLO of {before[0]}")
    expect(facts.locator("dd").first).to_contain_text(before[0])


@pytest.mark.parametrize("on_its_way", ["preview", "decision"])
def test_a_passing_error_leaves_what_was_typed_where_it_is(signed_in: SignedIn, on_its_way: str) -> None:
    page = signed_in("sre")
    dialog = modify(page, "payout-router")
    dialog.get_by_label("Target").fill("99.96")
    dialog.get_by_label("Why").fill("Because.")
    button = dialog.locator("#dialog-submit")
    expect(button).to_have_text(re.compile(r"Set 99\.96"))
    busy = '<div class="problem" data-problem><h1>Busy</h1><p class="state-title">Try again in a moment.</p></div>'
    pattern = PREVIEWS if on_its_way == "preview" else "**/actions/slos.modify/"
    page.route(pattern, lambda route: route.fulfill(status=503, content_type="text/html", body=busy))
    if on_its_way == "preview":
        dialog.get_by_label("Target").fill("99.95")
    else:
        button.click()
    expect(page.locator("#toasts")).to_contain_text("Busy · Try again in a moment.")
    expect(button).to_have_text("Try again")
    expect(button).to_be_enabled()
    expect(dialog.get_by_label("Why")).to_have_value("Because.")


def test_closing_the_dialog_does_not_hide_what_was_sent(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    dialog = modify(page, "payout-router")
    dialog.get_by_label("Target").fill("97.1")
    dialog.get_by_label("Why").fill("Because.")
    button = dialog.locator("#dialog-submit")
    expect(button).to_have_text(re.compile(r"Set 97\.1"))
    let_go = held(page, "**/actions/slos.modify/")
    button.click()
    expect(button).to_have_text("Working…")
    dialog.get_by_text("Cancel").click()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    let_go()
    toasts = page.locator("#toasts")
    expect(toasts).to_contain_text("payout-router now has an SLO of 97.1")
    expect(dialog).to_have_count(0)
    toasts.get_by_role("button", name="Undo").click()
    expect(toasts).not_to_contain_text("97.1")


def test_a_sign_in_in_another_tab_loses_nothing(signed_in: SignedIn, passwords: dict[str, str]) -> None:
    page = signed_in("sre", storage_state=None)
    page.goto("/sign-in/")
    sign_in(page, "owner", passwords["owner"])
    dialog = modify(page, "wallet")
    dialog.get_by_label("Target").fill("99.2")
    dialog.get_by_label("Why").fill("Agreed on Tuesday.")
    expect(dialog.locator("#dialog-submit")).to_have_text(re.compile(r"Set 99\.2"))
    page.context.clear_cookies(name="ballast_session")
    page.context.clear_cookies(name="ballast_csrf")
    other = page.context.new_page()
    other.goto("/sign-in/")
    sign_in(other, "owner", passwords["owner"])
    page.bring_to_front()
    dialog.locator("#dialog-submit").click()
    expect(dialog.get_by_label("Why")).to_have_value("Agreed on Tuesday.")
    expect(dialog.locator("#dialog-submit")).to_have_text(re.compile(r"Set 99\.2"))
    dialog.locator("#dialog-submit").click()
    expect(page.locator("#toasts")).to_contain_text("wallet now has an SLO of 99.2")
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).not_to_contain_text("99.2 %")
