"""One console with its demo for all browser tests, one browser, and people who are signed in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_playwright_axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.running import RunningConsole

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
AXE = (Path(pytest_playwright_axe.__file__).parent / "resources" / "axe.min.js").read_text()
AXE_TAGS = ["wcag2a", "wcag21a", "wcag2aa", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]

type SignedIn = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Where it must be there, its absence is a failure and no skip."""
    if not CHROMIUM.exists():
        reason = f"Chromium is not installed at {CHROMIUM}"
        if os.environ.get("BALLAST_REQUIRE_REAL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def console(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    """The whole console on a folder of its own, its demo loaded and computed."""
    # A socket's path may have a hundred characters, and pytest's folders are long.
    running = RunningConsole(tmp_path_factory.mktemp("console"))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def passwords(console: RunningConsole) -> dict[str, str]:
    """Who can sign in: the demo's three people, and a viewer."""
    found = {name: console.password_of(name) for name in ("sre", "owner", "auditor")}
    told = console.manage(
        "act", "accounts.create_user", "--as", "sre", "--input", '{"username": "visitor", "teams": []}'
    )
    return found | {"visitor": str(json.loads(told)["password"])}


@pytest.fixture(scope="session")
def sessions(console: RunningConsole, browser: Browser, passwords: dict[str, str]) -> dict[str, Any]:
    """The cookies of everybody, after one sign-in each through the page."""
    found = {}
    for name, password in passwords.items():
        context = browser.new_context(base_url=console.url)
        page = context.new_page()
        sign_in(page, name, password)
        found[name] = context.storage_state()
        context.close()
    return found


def sign_in(page: Page, name: str, password: str) -> None:
    """Fill in the sign-in page and wait for the page behind it."""
    page.goto("/sign-in/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".user-menu")).to_contain_text(name)


def until_at_rest(page: Page) -> None:
    """Wait until no run is waiting or under way, twice in a row: an event may be on its way to begin one."""
    quiet = 0
    for _ in range(60):
        waiting = 0
        for state in ("pending", "running"):
            page.goto(f"/runs/?who=all&state={state}")
            waiting += page.locator("main tbody tr").count()
        quiet = 0 if waiting else quiet + 1
        if quiet == 2:
            return
        page.wait_for_timeout(1_000)
    raise AssertionError("There are still runs under way after a minute.")


@pytest.fixture
def signed_in(console: RunningConsole, browser: Browser, sessions: dict[str, Any]) -> Iterator[SignedIn]:
    """Open a browser in which a person is signed in; a complaint on its console fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    # Chromium says of each answer of 400 and above that it failed, the expected ones too. htmx complains of each
    # request that the page itself aborted.
    expected = ["Failed to load resource", "htmx:afterRequest", "htmx:sendAbort"]

    def open_page(name: str = "sre", *, complains: Sequence[str] = (), **options: Any) -> Page:
        expected.extend(complains)
        given = {"viewport": {"width": 1440, "height": 900}, "storage_state": sessions[name]} | options
        context = browser.new_context(base_url=console.url, **given)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [one for one in complaints if not one.startswith(tuple(expected))] == []


def axe(page: Page) -> list[tuple[str, str]]:
    """What axe finds on the page as it stands: the rule and the first element at fault."""
    page.evaluate(AXE)
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", AXE_TAGS)
    return [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]
