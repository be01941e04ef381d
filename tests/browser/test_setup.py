"""From an empty Ballast to the first recommendation, on a Prometheus whose metrics no built-in family knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import axe, sign_in
from tests.browser.running import RunningConsole
from tests.real.own_metrics import fleet
from tests.real.prometheus import require_prometheus, running_prometheus

PASSWORD = "a-long-enough-passphrase"
LOOKS = 60


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_prometheus()
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), fleet()) as url:
        yield url


@pytest.fixture(scope="module")
def console(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    """An empty console that nobody has told of any Prometheus."""
    running = RunningConsole(
        tmp_path_factory.mktemp("empty"), demo=False, environment={"LOG_LEVEL": "WARNING"}
    )
    running.start()
    try:
        running.manage(
            "create_admin", "--username", "maria", "--email", "maria@example.org", stdin=PASSWORD + "\n"
        )
        yield running
    finally:
        running.stop()


@pytest.fixture
def page(browser: Browser, console: RunningConsole) -> Iterator[Page]:
    """A narrow browser that has signed in."""
    page = browser.new_page(base_url=console.url, viewport={"width": 390, "height": 844})
    sign_in(page, "maria", PASSWORD)
    yield page
    page.close()


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_it_is_connected_chosen_and_started_without_a_manual(page: Page, prometheus: str) -> None:
    # An empty Ballast begins here.
    expect(page).to_have_url(re.compile(r"/telemetry/setup/$"))
    assert axe(page) == []

    # A wrong address is said to be wrong, at the form, by keyboard alone.
    address = page.get_by_label("Address")
    address.focus()
    page.keyboard.type("http://127.0.0.1:1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(address).to_have_value("http://127.0.0.1:1")

    # The right one answers, and a worker looks at what it has.
    address.fill(prometheus)
    page.get_by_role("button", name="Connect Prometheus").click()
    start = page.get_by_role("button", name="Store and start")
    expect(start).to_be_visible(timeout=60_000)
    expect(page.get_by_text("orders_http_seconds_count by app: 3 services")).to_be_visible()
    expect(page.get_by_label("orders_http_seconds_count")).to_be_checked()
    expect(page.get_by_label("edge_calls_total")).not_to_be_checked()
    assert axe(page) == []
    assert fits(page)

    # What was ticked is stored and read, and leads to recommendations.
    start.click()
    expect(page.get_by_role("link", name="See recommendations")).to_be_visible(timeout=90_000)
    assert axe(page) == []
    page.get_by_role("link", name="See recommendations").click()
    basket = page.get_by_role("link", name="basket", exact=True)
    for _ in range(LOOKS):
        if basket.count():
            break
        page.wait_for_timeout(1_000)
        page.reload()
    expect(basket).to_be_visible()
