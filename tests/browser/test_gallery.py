"""The components in a real browser, under the policy that the console sends: axe, keyboard, dialog, theme."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import axe
from tests.ui.gallery.render import write

DIALOG = """<form class="dialog"><h2 id="dialog-title">Accept?</h2><div class="dialog-body">
<label>Why <input name="why"></label></div><a href="#" class="btn" data-dialog-close>Cancel</a></form>"""


def policy() -> str:
    """The header that the console sends, from its settings."""
    from django.conf import settings
    from django.utils.csp import build_policy

    sources: Any = settings.SECURE_CSP
    return build_policy(sources)


class Files(http.server.SimpleHTTPRequestHandler):
    """The gallery's folder, with the console's policy on every answer."""

    def do_GET(self) -> None:
        if self.path == "/dialog":
            self.answer(DIALOG)
        elif self.path == "/conflict":
            self.answer("<div class='problem' data-problem><h1 id='dialog-title'>Changed</h1></div>", 409)
        else:
            super().do_GET()

    def answer(self, html: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(html.encode())

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", policy())
        super().end_headers()

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gallery")
    write(folder)
    handler = functools.partial(Files, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert [one for one in complaints if "409" not in one] == []


@pytest.mark.parametrize("name", ["gallery", "login", "404", "403", "409", "500"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_sticks_out(
    page: Page, address: str, name: str, width: int, theme: Any
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)
    page.goto(f"{address}/{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert axe(page) == []


def test_rows_are_walked_with_j_and_k_and_a_slash_finds_the_search(page: Page, address: str) -> None:
    page.goto(f"{address}/gallery.html")
    links = page.locator("table[data-rows] tbody tr td:first-child a")
    page.keyboard.press("j")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("[data-search]")).to_be_focused()
    page.keyboard.type("j/")
    expect(page.locator("[data-search]")).to_have_value("j/")


def test_a_dialog_opens_takes_the_focus_and_gives_it_back(page: Page, address: str) -> None:
    page.goto(f"{address}/gallery.html")
    opener = page.locator(".tier a.btn").first
    opener.evaluate("link => { link.setAttribute('hx-get', '/dialog'); htmx.process(link); }")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_be_visible()
    expect(page.locator("#dialog input[name=why]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator("#dialog form")).to_have_count(0)
    expect(opener).to_be_focused()


def test_a_conflict_is_shown_in_the_dialog_and_leaves_the_page_as_it_is(page: Page, address: str) -> None:
    page.goto(f"{address}/gallery.html")
    page.evaluate("htmx.ajax('GET', '/conflict', {target: '#results', swap: 'outerHTML'})")
    expect(page.locator("#dialog")).to_contain_text("Changed")
    expect(page.locator("#results table")).to_be_visible()


def test_the_theme_holds_on_the_next_page(page: Page, address: str) -> None:
    page.goto(f"{address}/gallery.html")
    page.locator(".user-menu summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto(f"{address}/404.html")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"


def test_the_narrow_menu_opens_without_a_script(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(f"{address}/gallery.html")
    rooms = page.get_by_role("navigation", name="All rooms")
    expect(rooms).to_be_hidden()
    page.locator(".rooms-menu summary").click()
    expect(rooms.get_by_role("link", name="Audit")).to_be_visible()
    context.close()


def test_a_message_of_a_finished_change_is_shown_and_read_out(page: Page, address: str) -> None:
    page.goto(f"{address}/gallery.html")
    page.evaluate("htmx.trigger(document.body, 'ballast:done', {message: '99.955 % is active.'})")
    expect(page.locator("#toasts")).to_contain_text("99.955 % is active.")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator(".toast")).to_have_count(0)
