"""Pictures for docs/images, of a console that runs with its demo: ``make shots``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright  # noqa: E402

from tests.browser.conftest import CHROMIUM, sign_in  # noqa: E402
from tests.browser.packing import packed  # noqa: E402
from tests.browser.running import RunningConsole  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LARGEST_BYTES = 250_000
LARGEST_TOTAL = 1_500_000
PATIENCE = 45
"""How often a page is looked at again until its recommendation can be decided on."""
WIDE, NARROW = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)


def overview(page: Page) -> None:
    page.goto("/")


def service(page: Page) -> None:
    page.goto("/services/payments-api/")
    if page.viewport_size and page.viewport_size["width"] > 900:  # The answer and the first evidence.
        page.set_viewport_size({"width": 1440, "height": 1180})


def dialog(page: Page) -> None:
    page.goto("/services/fraud-api/")
    modify = page.get_by_role("link", name="Modify… the Availability recommendation")
    for _ in range(PATIENCE):  # Just after the start a worker may be at the next recommendation.
        if modify.count():
            break
        page.wait_for_timeout(2000)
        page.reload()
    modify.click()
    opened = page.get_by_role("dialog")
    opened.get_by_label("Target").fill("99.99")
    expect(opened.locator("#dialog-submit")).to_contain_text("99.99")
    opened.get_by_label("Why").fill("The partners' contract asks for four nines.")
    expect(opened).to_contain_text("Harder than the aggressive tier")


def dependency_map(page: Page) -> None:
    page.goto("/map/checkout-web/?depth=2&direction=downstream")


def journey(page: Page) -> None:
    page.goto("/journeys/check-out/")
    for _ in range(PATIENCE):  # A worker computes it after the start.
        if page.get_by_text("of the journeys succeed").count():
            return
        page.wait_for_timeout(2000)
        page.reload()


def what_if(page: Page) -> None:
    page.goto("/what-if/checkout-web/?step=fallback:0.9:payments-api&step=retry:2:orders")
    expect(page.get_by_text("Composite").first).to_be_visible(timeout=30_000)


def audit(page: Page) -> None:
    page.goto("/audit/?action=slos")


SHOTS: dict[str, Callable[[Page], None]] = {
    "overview": overview,
    "service": service,
    "dialog": dialog,
    "journey": journey,
    "what-if": what_if,
    "map": dependency_map,
    "audit": audit,
}


def take(browser: Browser, url: str, session: Any, folder: Path) -> None:
    """Take every picture in both themes, and the service once more on a narrow screen."""
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    wanted = [(name, theme, WIDE) for name in SHOTS for theme in themes]
    for name, theme, size in [*wanted, ("service", themes[0], NARROW)]:
        context = browser.new_context(
            base_url=url, storage_state=session, viewport=size, color_scheme=theme, reduced_motion="reduce"
        )
        page = context.new_page()
        SHOTS[name](page)
        page.mouse.move(0, 0)
        suffix = theme if size is WIDE else "390"
        taken = page.screenshot(animations="disabled")
        (folder / f"{name}-{suffix}.png").write_bytes(packed(taken))
        context.close()


def main() -> int:
    """Start a console on a folder of its own, take the pictures, replace those in docs/images."""
    if not CHROMIUM.exists():
        print(f"Chromium is not installed at {CHROMIUM}.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ballast-shots-") as name:
        running = RunningConsole(Path(name) / "data")
        taken = Path(name) / "images"
        taken.mkdir()
        try:
            running.start()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                context = browser.new_context(base_url=running.url)
                sign_in(context.new_page(), "sre", running.password_of("sre"))
                take(browser, running.url, context.storage_state(), taken)
                browser.close()
        finally:
            running.stop()
        pictures = sorted(taken.glob("*.png"))
        sizes = {picture.name: picture.stat().st_size for picture in pictures}
        too_large = [name for name, size in sizes.items() if size > LARGEST_BYTES]
        if too_large or sum(sizes.values()) > LARGEST_TOTAL:
            print(f"Too large for docs: {too_large} of {sizes}", file=sys.stderr)
            return 1
        IMAGES.mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            shutil.copyfile(picture, IMAGES / picture.name)
            print(f"{picture.name}: {sizes[picture.name] / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
