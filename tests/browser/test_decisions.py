"""The main job in a browser: find a service, decide, see it hold, find who did it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignedIn, sign_in
from tests.browser.running import RunningConsole


def open_service(page: Page, name: str) -> None:
    page.goto(f"/services/{name}/")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def never_loaded_again(page: Page) -> None:
    """Mark the document, so that a page load in between would be seen."""
    page.evaluate("document.documentElement.dataset.sameDocument = 'yes'")


def expect_same_document(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("data-same-document", "yes")


def test_somebody_signs_in_and_out(
    signed_in: SignedIn, console: RunningConsole, passwords: dict[str, str]
) -> None:
    page = signed_in("sre", storage_state=None)
    page.goto("/services/")
    expect(page).to_have_url(re.compile(r"/sign-in/\?next=/services/"))
    sign_in(page, "owner", passwords["owner"])
    page.locator(".user-menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/")
    expect(page).to_have_url(re.compile("/sign-in/"))


def test_a_service_is_found_by_keyboard_and_a_tier_accepted_without_a_page_load(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("fraud-api")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/services/\?q=fraud-api"))
    page.locator("main").focus()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="fraud-api", exact=True).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("fraud-api")
    never_loaded_again(page)

    balanced = page.get_by_role("region", name="Balanced tier")
    target = balanced.locator(".target").inner_text()
    balanced.get_by_role("link", name="Accept").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("the balanced tier")
    dialog.get_by_label("Why").fill("Agreed in the review.")
    dialog.get_by_role("button", name=f"Accept {target}").click()

    expect(page.locator("#toasts")).to_contain_text(f"fraud-api now has an SLO of {target} over 28 days.")
    expect(dialog).to_be_hidden()
    active = page.get_by_role("region", name="Balanced tier")
    expect(active).to_contain_text("active")
    expect(active).to_be_focused()
    expect(active).to_be_in_viewport()
    expect(page.get_by_text("The decision is taken.")).to_have_count(0, timeout=60_000)
    expect(active).to_be_in_viewport()  # Also once the next recommendation has been drawn.
    expect(page.locator(".facts").first).to_contain_text(f"{target} over 28 days")
    expect_same_document(page)

    history = page.get_by_role("region", name="History")
    history.get_by_role("link", name=re.compile(".* accepted, the balanced tier by sre")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("accepted, the balanced tier")
    expect(page.locator("main")).to_contain_text("Agreed in the review.")
    expect(page.locator("main")).to_contain_text("in the browser")
    page.goto("/audit/?service=fraud-api&action=slos.accept")
    expect(page.locator("#entries tbody tr")).to_have_count(1)


def test_modifying_warns_while_one_types(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    open_service(page, "instant-pay")
    never_loaded_again(page)
    page.get_by_role("link", name="Modify… the Availability recommendation").click()
    dialog = page.get_by_role("dialog")
    target = dialog.get_by_label("Target")
    target.fill("99.9999")
    expect(dialog).to_contain_text("Harder than the aggressive tier")
    expect(dialog.locator("#dialog-submit")).to_have_text(re.compile(r"Set 99\.9999"))
    target.fill("98.5")
    expect(dialog).not_to_contain_text("Harder than the aggressive tier")
    dialog.get_by_label("Why").fill("The contract says so.")
    dialog.get_by_role("button", name="Set 98.5").click()
    expect(page.locator("#toasts")).to_contain_text("instant-pay now has an SLO of 98.5")
    expect(page.get_by_role("region", name="Active SLOs")).to_contain_text("The contract says so.")
    expect_same_document(page)


def test_what_is_missing_is_said_beside_the_field_and_the_dialog_stays(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    open_service(page, "payments-api")
    page.get_by_role("link", name="Edit the Availability SLO").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("form").evaluate("form => { form.noValidate = true }")
    dialog.locator("#dialog-submit").click()
    expect(dialog.get_by_label("Why")).to_be_focused()
    expect(dialog).to_contain_text("This is needed.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="Edit the Availability SLO")).to_be_focused()


def test_rejecting_takes_a_reason_and_takes_the_buttons_away(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    open_service(page, "card-network")
    page.get_by_role("link", name="Reject… the Availability recommendation").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("Their SLA is under negotiation.")
    dialog.get_by_role("button", name="Reject recommendation").click()
    expect(page.locator("#toasts")).to_contain_text("is rejected")
    expect(page.get_by_role("region", name="History")).to_contain_text("Their SLA is under negotiation.")
    expect(page.get_by_role("link", name="Reject… the Availability recommendation")).to_have_count(0)


def test_the_second_of_two_sees_what_the_first_decided(signed_in: SignedIn) -> None:
    first, second = signed_in("sre"), signed_in("owner")
    for page in (first, second):
        open_service(page, "payments-api")
        page.get_by_role("region", name="Aggressive tier").get_by_role("link", name="Accept").click()
        expect(page.get_by_role("dialog")).to_contain_text("the aggressive tier")
    first.locator("#dialog-submit").click()
    expect(first.locator("#toasts")).to_contain_text("payments-api now has an SLO of")
    second.locator("#dialog-submit").click()
    dialog = second.get_by_role("dialog")
    expect(dialog).to_contain_text("was accepted by sre")
    expect(dialog).to_contain_text("Current state")
    dialog.get_by_role("link", name="See the current state").click()
    expect(second.get_by_role("region", name="History")).to_contain_text(
        "accepted, the aggressive tier by sre"
    )


@pytest.mark.parametrize("name", ["visitor", "auditor"])
def test_who_may_not_decide_sees_no_button_and_who_may(signed_in: SignedIn, name: str) -> None:
    page = signed_in(name)
    open_service(page, "payments-api")
    expect(page.locator("main")).to_contain_text("Only an SRE admin or an owner of the service may decide.")
    for label in ("Accept", "Modify", "Reject", "Edit", "Retire", "Recommend again"):
        expect(page.locator("main").get_by_role("link", name=re.compile(f"^{label}"))).to_have_count(0)


def test_a_new_recommendation_is_asked_for_and_made_by_a_worker(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    open_service(page, "ledger")
    page.get_by_role("link", name="Recommend again").click()
    page.get_by_role("dialog").get_by_role("button", name="Regenerate recommendation").click()
    expect(page.locator("#toasts")).to_contain_text("A worker computes new recommendations for ledger")
    # The page says that one is awaited, unless the worker was quicker than the page.
    expect(page.get_by_role("region", name="History")).to_contain_text("New recommendation requested by sre")
    expect(page.get_by_text("A worker makes new recommendations")).to_have_count(0, timeout=60_000)
    expect(page.locator("main")).to_contain_text(re.compile(r"made (now|just now|\d+\s+s ago)"))
    expect(page.get_by_role("region", name="Balanced tier")).to_be_visible()
