"""What every page has: no finding of axe, nothing that sticks out, themes, menus, maps, jobs that move."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignedIn, axe
from tests.browser.running import RunningConsole

PAGES = (
    "/",
    "/services/",
    "/services/?q=nothing+like+this",
    "/services/checkout-web/",
    "/services/tax-filing/",
    "/services/instant-pay/",
    "/services/card-network/",
    "/recommendations/",
    "/recommendations/?due=all",
    "/slos/",
    "/journeys/",
    "/journeys/?q=nothing+like+this",
    "/journeys/check-out/",
    "/journeys/new/",
    "/journeys/check-out/edit/",
    "/what-if/",
    "/what-if/checkout-web/",
    "/what-if/checkout-web/?step=fallback:0.9:payments-api&step=retry:2:orders",
    "/what-if/card-network/?step=fallback:0.9:nobody",
    "/map/",
    "/map/orders/?depth=2",
    "/telemetry/",
    "/imports/",
    "/audit/",
    "/api-keys/",
    "/people/",
    "/people/?q=nothing+like+this",
    "/people/owner/",
    "/people/owner/reset-password/",
    "/new-person/",
    "/teams/",
    "/account/",
    "/account/password/",
    "/docs/problems",
    "/no/such/page",
)
DIALOG = (
    "/actions/slos.set/?service_id=tax-filing&sli_type=availability&show=target,window_days&window_days=28"
)

PATIENCE = 30
"""How often a page is looked at again until its recommendation can be decided on."""


def first_link(page: Page, list_page: str, pattern: str) -> str:
    """The first address on a page that matches, for pages whose address nobody can know."""
    page.goto(list_page)
    found = page.locator("main a[href]").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return str(next(one for one in found if re.search(pattern, one)))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_on_any_page_and_nothing_sticks_out(
    signed_in: SignedIn, theme: Any, width: int
) -> None:
    page = signed_in("sre", viewport={"width": width, "height": 900}, color_scheme=theme)
    entry = first_link(page, "/audit/?action=slos", r"/audit/[0-9a-f-]{36}/")
    run = first_link(page, "/imports/", r"/runs/[0-9a-f-]{36}/")
    team = first_link(page, "/teams/", r"/teams/\d+/")
    found: dict[str, object] = {}
    for path in (*PAGES, DIALOG, entry, run, team):
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        violations = axe(page)
        if wide != width or violations:
            found[path] = (wide, violations)
    assert found == {}


def test_axe_finds_nothing_in_an_open_dialog_and_a_message(signed_in: SignedIn) -> None:
    page = signed_in("sre")
    page.goto("/services/checkout-web/")
    page.get_by_role("link", name="Retire… the Availability SLO").click()
    expect(page.get_by_role("dialog")).to_contain_text("no longer has an SLO of")
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.evaluate("htmx.trigger(document.body, 'ballast:done', {message: 'Done.'})")
    assert axe(page) == []


def test_the_theme_is_chosen_in_the_menu_and_holds(signed_in: SignedIn) -> None:
    page = signed_in("sre", color_scheme="light")
    page.goto("/")
    page.locator(".user-menu summary").click()
    page.get_by_role("button", name="Dark").click()
    page.goto("/services/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_narrow_screen_has_all_rooms_in_its_menu(signed_in: SignedIn) -> None:
    page = signed_in("sre", viewport={"width": 390, "height": 844})
    page.goto("/")
    page.locator(".rooms-menu summary").click()
    page.get_by_role("navigation", name="All rooms").get_by_role("link", name="Budgets").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Budgets")


def test_filters_and_order_change_the_list_and_the_address_without_a_page_load(signed_in: SignedIn) -> None:
    page = signed_in("visitor")
    page.goto("/services/")
    page.evaluate("document.documentElement.dataset.sameDocument = 'yes'")
    page.get_by_label("Team").select_option("risk")
    expect(page).to_have_url(re.compile("team=risk"))
    page.get_by_role("link", name="Service", exact=True).click()
    expect(page).to_have_url(re.compile("sort="))
    teams = page.locator("#listing tbody td:nth-child(2)").all_inner_texts()
    assert {team.partition(",")[0] for team in teams} == {"risk"}
    expect(page.locator("html")).to_have_attribute("data-same-document", "yes")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8").splitlines()))
    assert len(rows) >= len(teams)


def test_the_map_leads_from_service_to_service(signed_in: SignedIn) -> None:
    page = signed_in("visitor")
    page.goto("/map/orders/")
    expect(page.locator("main")).to_contain_text("in a cycle")
    page.locator("svg.graph a", has_text="stock").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Around stock")
    page.get_by_label("Steps away").select_option("1")
    expect(page).to_have_url(re.compile("depth=1"))
    page.locator("svg.graph .focus").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("stock")


def test_an_import_names_the_row_that_is_wrong_and_shows_how_far_it_is(
    signed_in: SignedIn, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder, total in ((good, "1000"), (bad, "many")):
        folder.mkdir()
        lines = ["service_id,timestamp,step_seconds,total,bad,p50_ms,p95_ms,p99_ms"]
        lines += [f"newcomer,{1_780_000_000 // 3600 * 3600 + 3600 * at},3600,1000,1,,," for at in range(48)]
        lines.append(f"newcomer,{1_780_000_000 // 3600 * 3600 + 3600 * 48},3600,{total},1,,,")
        (folder / "sli.csv").write_text("\n".join(lines) + "\n")
        header = "service_id,team,criticality,external,published_sla"
        (folder / "services.csv").write_text(f"{header}\nnewcomer,shop,low,false,\n")
    page = signed_in("sre")
    page.goto("/imports/")
    page.get_by_label("CSV files").set_input_files(sorted(bad.iterdir()))
    page.get_by_role("button", name="Import files").click()
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}/"))
    # The page follows the job by itself until it is over.
    expect(page.locator("#status")).to_contain_text("failed: nothing was changed", timeout=30_000)
    row = page.get_by_role("region", name="1 problem").locator("tbody tr").first
    expect(row).to_contain_text("sli.csv")
    expect(row).to_contain_text("50")
    expect(row).to_contain_text("total")
    assert axe(page) == []

    page.goto("/imports/")
    page.get_by_label("CSV files").set_input_files(sorted(good.iterdir()))
    page.get_by_role("button", name="Import files").click()
    expect(page.locator("#status")).to_contain_text("completed", timeout=30_000)
    page.goto("/services/newcomer/")
    expect(page.locator("main")).to_contain_text("Availability by day")


def test_a_file_of_another_name_is_refused_with_words(signed_in: SignedIn, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    page = signed_in("sre")
    page.goto("/imports/")
    page.get_by_label("CSV files").set_input_files(tmp_path / "notes.txt")
    page.get_by_role("button", name="Import files").click()
    expect(page.get_by_role("alert")).to_contain_text("notes.txt is none of services.csv")


def test_a_key_is_shown_once_to_be_copied(signed_in: SignedIn, console: RunningConsole) -> None:
    page = signed_in("sre")
    page.goto("/api-keys/")
    page.get_by_label("Name").fill("browser test")
    page.get_by_role("button", name="Create API key").click()
    key = page.get_by_label("The key").input_value()
    answer = page.request.get("/api/v1/services", headers={"X-API-Key": key})
    assert answer.status == 200
    page.goto("/api-keys/")
    expect(page.locator("main")).not_to_contain_text(key)
    page.get_by_role("link", name="Revoke… browser test").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke API key").click()
    expect(page.locator("main")).to_contain_text("revoked")


def test_every_page_works_without_a_script(signed_in: SignedIn) -> None:
    page = signed_in("sre", java_script_enabled=False)
    for _ in range(PATIENCE):
        page.goto("/services/mobile-bff/")
        page.get_by_role("region", name="Balanced tier").get_by_role("link", name="Accept").click()
        if page.get_by_text("has expired").count() == 0:
            break
        page.wait_for_timeout(1000)  # A worker is at the next recommendation.
    expect(page.locator("main")).to_contain_text("mobile-bff gets an SLO of")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("mobile-bff")
    expect(page.locator("main")).to_contain_text("mobile-bff now has an SLO of")
