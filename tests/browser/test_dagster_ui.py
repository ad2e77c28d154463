"""What a user sees and does in the Dagster UI. The tests tell one story, in order: look around, load the missing
session, see what follows from it.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from browser_screen import LOADED_THROUGH, MISSING_SESSION, Screen
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

FOLLOW_MS = 180_000
"""Two evaluations of the automation sensor, 30 s apart, and two runs."""


def tab(page: Page, name: str) -> Locator:
    """A tab of an asset page."""
    return page.get_by_role("tab", name=name, exact=True)


def metadata(page: Page, name: str) -> Locator:
    """A row of a metadata table."""
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def test_catalog_leads_to_an_asset(screen: Screen) -> None:
    page = screen.open("/")
    page.get_by_role("link", name="Catalog").click()
    for group in ("ingest", "analytics", "indices", "prices", "marts"):
        expect(page.get_by_role("link", name=f"asset_group {group}").first).to_be_visible()
    page.locator(".CodeMirror").click()
    page.keyboard.type('key:"raw_prices"')
    page.keyboard.press("Escape")  # the list of suggestions
    page.keyboard.press("Enter")
    page.get_by_role("link", name="raw_prices").first.click()
    expect(page.get_by_text("Daily bars as traded, every version of each")).to_be_visible()
    expect(page.get_by_text("market.raw.price_bar").first).to_be_visible()
    expect(page.get_by_text("market-data", exact=True)).to_be_visible()


def test_checks_say_which_session_failed_and_show_its_rows(screen: Screen) -> None:
    page = screen.open("/assets/raw_prices")
    tab(page, "Checks").click()
    expect(page.get_by_text("Checks (10)")).to_be_visible()
    page.get_by_text("schema", exact=True).first.click()
    expect(page.get_by_text("This is a blocking asset check")).to_be_visible()
    page.get_by_text("daily_move_explained", exact=True).first.click()
    expect(page.get_by_text(re.compile(r"1 row failed in 1 of 3,269 sessions: 2000-09-29"))).to_be_visible()
    screen.keep("checks")
    metadata(page, "failing_rows").get_by_text("[Show Markdown]").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("cell", name="AAPL")).to_be_visible()
    expect(dialog.get_by_role("cell", name="2000-09-29")).to_be_visible()


def test_materialization_carries_a_plot(screen: Screen) -> None:
    page = screen.open("/assets/index_values")
    tab(page, "Events").click()
    expect(page.get_by_text(f"Partition {LOADED_THROUGH} materialized in run")).to_be_visible()
    metadata(page, "plot").get_by_text("[Show Markdown]").click()
    picture = page.get_by_role("dialog").get_by_role("img", name="plot")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 400
    screen.keep("plot")


def test_columns_say_what_they_mean_and_where_they_come_from(screen: Screen) -> None:
    page = screen.open("/assets/index_values")
    expect(page.get_by_text("level with dividends reinvested on the ex-date")).to_be_visible()
    expect(page.get_by_text("unit: index points").first).to_be_visible()
    lineage = metadata(page, "column_lineage")
    lineage.scroll_into_view_if_needed()
    expect(lineage.get_by_role("row").filter(has_text="price_return")).to_contain_text("int_golden_bar.close")


@pytest.mark.parametrize(
    ("asset", "file"),
    [
        ("index_values", "market_assets/assets/indices.py"),
        ("fct_index_value", "dbt/models/marts/fct_index_value.sql"),
        ("int_adjusted_bar", "dbt/models/intermediate/int_adjusted_bar.sql"),
    ],
)
def test_source_code_is_one_click_away(screen: Screen, asset: str, file: str) -> None:
    page = screen.open(f"/assets/{asset}")
    link = page.get_by_role("link").filter(has_text=Path(file).name).filter(has_text="in editor")
    expect(link).to_be_visible()
    address = link.get_attribute("href") or ""
    path, _, line = address.removeprefix("vscode://file/").rpartition(":")
    assert path.endswith(file)
    assert 1 <= int(line) <= len(Path(path).read_text(encoding="utf-8").splitlines())


def test_one_partition_is_materialized_from_the_asset_page(screen: Screen) -> None:
    page = screen.open("/assets/raw_prices")
    tab(page, "Partitions").click()
    expect(page.get_by_text("Missing (1)")).to_be_visible()
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog")
    chosen = dialog.locator("input[placeholder^='ex: ']")
    chosen.fill(MISSING_SESSION)
    chosen.press("Enter")
    expect(dialog.get_by_text("1 partition", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Launch 1 run").click()
    page.get_by_role("link", name="View", exact=True).click()

    expect(page.get_by_text(f"partition: {MISSING_SESSION}")).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    page.reload()  # without the notice of the launch
    expect(page.get_by_text("Succeeded (2)")).to_be_visible()
    expect(page.get_by_text("10 checks")).to_be_visible()
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    screen.keep("run")

    screen.open("/assets/raw_prices?view=partitions")
    expect(page.get_by_text("Materialized (3270)")).to_be_visible()
    expect(page.get_by_text("Missing (0)")).to_be_visible()
    page.get_by_placeholder("Filter by name").fill(MISSING_SESSION)
    page.locator("span").get_by_text(MISSING_SESSION, exact=True).last.click()  # the first is the axis
    expect(metadata(page, "rows_added")).to_contain_text("5")
    screen.keep("partitions")


def test_what_depends_on_it_follows(screen: Screen) -> None:
    page = screen.open("/runs")
    # The backfill, the partition, then indicators with indices, then the marts: the daemon launched the last two.
    expect(page.get_by_text("automation_sensor")).to_have_count(2, timeout=FOLLOW_MS)
    expect(page.get_by_text("Success", exact=True)).to_have_count(4, timeout=FOLLOW_MS)
    screen.open("/assets/index_values?view=partitions")
    expect(page.get_by_text("Missing (0)")).to_be_visible()


def test_lineage_graph_shows_groups_and_assets(screen: Screen) -> None:
    # Without staging views of what is computed, which say nothing in a picture; the price views are one closed group.
    selection = quote('kind:"python" or kind:"table" or group:"prices"')
    opened = ",".join(f"global@global:{group}" for group in ("ingest", "analytics", "indices", "marts"))
    page = screen.open(f"/asset-groups~{selection}?expanded={quote(opened)}")
    expect(page.get_by_text("Global asset lineage")).to_be_visible()
    page.get_by_text("Hide navigation").click()
    page.get_by_role("button").filter(has=page.get_by_label("panel_show_right")).last.click()
    page.get_by_role("button").filter(has=page.get_by_label("settings")).last.click()
    page.get_by_role("menuitem", name="vertical orientation").click()
    page.keyboard.press("Escape")
    page.mouse.dblclick(90, 880)  # fits the graph into the window
    graph = page.locator("svg foreignObject")
    for name in ("ingest", "prices", "analytics", "indices", "marts"):
        expect(graph.filter(has_text=re.compile(f"^{name}$"))).to_be_visible()
    for name in ("raw_prices", "indicators", "index_values", "fct_daily_bar", "mart_price_anomaly"):
        expect(graph.filter(has_text=name).first).to_be_visible()
    expect(graph.locator("[style*='accent-green']")).to_have_count(16)  # up to date and complete
    screen.keep("lineage")
