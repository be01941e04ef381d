"""The main job on a real Prometheus, clicked through: PetSite is read, a tier accepted, and the proof found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import sign_in, until_at_rest
from tests.browser.running import RunningConsole
from tests.real import petshop
from tests.real.prometheus import require_prometheus, running_prometheus

PASSWORD = "a-long-enough-passphrase"


@pytest.fixture(scope="module")
def console(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    """A console without the demo that has read PetShop (low traffic) from a real Prometheus."""
    petshop.require_petshop()
    require_prometheus()
    recording = petshop.load("low")
    folder = tmp_path_factory.mktemp("petshop")
    for name in ("graph", "prometheus"):
        (folder / name).mkdir()
    recording.write_graph(folder / "graph")
    (folder / "ballast.toml").write_text(petshop.CONFIG)
    with running_prometheus(folder / "prometheus", recording.metrics()) as url:
        environment = {
            "PROMETHEUS_URL": url,
            "BALLAST_CONFIG": str(folder / "ballast.toml"),
            "LOG_LEVEL": "WARNING",
        }
        running = RunningConsole(folder / "data", demo=False, environment=environment)
        running.start()
        try:
            running.manage(
                "create_admin", "--username", "maria", "--email", "maria@example.org", stdin=PASSWORD + "\n"
            )
            running.manage("import_observations", str(folder / "graph"))
            running.manage("backfill", "--days", "3", "--end", recording.end.isoformat())
            running.manage("recommend", "--store", "--service", "PetSite")
            yield running
        finally:
            running.stop()


@pytest.fixture
def page(browser: Browser, console: RunningConsole) -> Iterator[Page]:
    """A browser that has signed in."""
    page = browser.new_page(base_url=console.url)
    sign_in(page, "maria", PASSWORD)
    until_at_rest(page)
    page.goto("/")
    yield page
    page.close()


def test_a_tier_is_accepted_and_the_audit_trail_proves_it(page: Page) -> None:
    page.get_by_label("Search services").fill("PetSite")
    page.get_by_label("Search services").press("Enter")
    page.get_by_role("link", name="PetSite", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("PetSite")
    expect(page.get_by_text("99.59").first).to_be_visible()

    page.evaluate("window.stillTheSamePage = true")
    balanced = page.get_by_role("region", name="Balanced tier").first
    accept = balanced.get_by_role("link", name="Accept")
    target = (accept.inner_text()).removeprefix("Accept ").strip()
    accept.click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text(target)
    dialog.get_by_role("button", name="Accept").click()

    expect(dialog).to_be_hidden()
    expect(page.locator(".facts").first).to_contain_text(f"{target} over 28 days")
    assert page.evaluate("window.stillTheSamePage") is True, "accepting must not load the page anew"

    page.goto("/audit/")
    row = page.get_by_role("row").filter(has_text="PetSite").filter(has_text="maria").first
    expect(row).to_contain_text(target)
