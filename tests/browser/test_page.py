"""A report's page in a real browser: reading, sorting, filtering, sharing, both themes, small screens, paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.reporting.page import write_html
from evalkit.reporting.report import make_report
from tests.browser.conftest import Open, until
from tests.report_runs import report_runs


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    file = folder / "report.html"
    write_html(make_report(report_runs(folder), processes=1), file)
    return file


def names(page: Any, board: str = "vstar", kind: str = "") -> list[str]:
    """The rows of a leaderboard that are seen, in order."""
    rows = page.locator(f"#b-{board}-table tr[data-kind{f'={kind}' if kind else ''}]:visible .name")
    return [str(text) for text in rows.all_inner_texts()]


def values(page: Any, column: str, board: str = "vstar") -> list[float]:
    cells = page.locator(f"#b-{board}-table tr[data-kind]:visible td[data-c={column}]")
    found = [cell.get_attribute("data-v") for cell in cells.all()]
    return [float(value) for value in found if value is not None]


def test_the_first_screen_says_who_is_best_and_who_wastes_its_tools(
    report: Path, open_page: Open, shot: Callable[..., Path]
) -> None:
    page = open_page(report)
    shot(page, "page-first-screen")
    shot(page, "page-whole", whole=True)
    best = page.locator(".head:has-text('V*'), .head:has-text('vstar')").first
    assert "careful" in best.locator(".say-best").inner_text()
    assert "blind" in best.locator(".say-tools").inner_text()
    table = page.locator("table.overview")
    assert table.bounding_box()["y"] < 800
    assert "needlessly" in table.locator("tr", has_text="blind").first.inner_text()
    assert table.locator(".first").first.locator("xpath=ancestor::tr/th").inner_text() == "careful"


def test_measured_runs_and_published_figures_are_told_apart(report: Path, open_page: Open) -> None:
    page = open_page(report)
    assert names(page, kind="measured") == ["careful", "blind"]
    assert "Metis-8B" in names(page, kind="published")
    measured = page.locator("#b-vstar-table tr[data-kind=measured]").first
    published = page.locator("#b-vstar-table tr[data-kind=published]").first
    assert measured.locator("svg.bar .span").count() == 1
    assert published.locator("svg.bar .span").count() == 0
    assert "published" in published.inner_text()
    assert "without a per-sample record" in page.locator("#b-vstar-table tr.group").inner_text()


def test_a_published_row_shows_every_source_and_regime_on_demand(report: Path, open_page: Open) -> None:
    page = open_page(report)
    row = page.locator("#b-vstar-table tr.published", has=page.get_by_role("button", name="DeepEyes", exact=True))
    assert "83.3 – 85.6" in row.inner_text()
    row.locator(".name").press("Enter")
    card = page.locator(".about:popover-open")
    text = card.inner_text()
    assert all(value in text for value in ("83.3 %", "85.6 %", "Avg@32", "Mini-o3 README", "nothing is averaged"))
    page.keyboard.press("Escape")
    assert card.count() == 0


def test_columns_sort_by_mouse_and_by_key_and_missing_values_come_last(report: Path, open_page: Open) -> None:
    page = open_page(report)
    start = names(page)
    head = page.locator("#b-vstar-table th[data-c=accuracy]")
    assert head.get_attribute("aria-sort") is None
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    found = values(page, "accuracy")
    assert found == sorted(found, reverse=True)
    assert len(found) > 20
    assert names(page)[-1] == "DeepEyesV2, cold start"
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert values(page, "accuracy") == found[::-1]
    assert names(page)[-1] == "DeepEyesV2, cold start"
    head.locator("button").press("Space")
    assert head.get_attribute("aria-sort") is None
    assert names(page) == start
    page.locator("#b-vstar-table thead th[data-c=run] button").click()
    assert names(page) == sorted(start, key=str.lower)


def test_rows_are_found_by_text_and_by_kind(report: Path, open_page: Open) -> None:
    page = open_page(report)
    controls = page.locator('[data-controls-of="b-vstar-table"]')
    every = len(names(page))
    controls.get_by_label("Find an agent").fill("metis w_tool")
    assert names(page) == ["Metis-8B, w_tool 0.10", "Metis-8B, w_tool 0.20"]
    assert controls.get_by_role("status").inner_text() == f"2 of {every} rows"
    controls.get_by_label("Find an agent").fill("")
    controls.get_by_label("Which rows").select_option("measured")
    assert names(page) == ["careful", "blind"]
    assert not page.locator("#b-vstar-table tr.group").is_visible()
    controls.get_by_label("Which rows").select_option("")
    assert len(names(page)) == every


def test_a_link_shares_what_is_seen(report: Path, open_page: Open) -> None:
    page = open_page(report)
    controls = page.locator('[data-controls-of="b-vstar-table"]')
    page.locator("#b-vstar-table th[data-c=tools] button").click()
    controls.get_by_label("Find an agent").fill("eyes, v2")
    controls.get_by_label("Find an agent").fill("eyes")
    controls.locator("summary").click()
    controls.get_by_label("Of all", exact=True).uncheck()
    assert not page.locator("#b-vstar-table [data-c=all]").first.is_visible()
    other = open_page(page.url)
    assert names(other) == names(page)
    assert names(other)[0] == "DeepEyes"
    assert other.locator("#b-vstar-table th[data-c=tools]").get_attribute("aria-sort") == "descending"
    assert not other.locator("#b-vstar-table [data-c=all]").first.is_visible()
    assert other.locator("#b-numbers-table [data-c=all]").first.is_visible()
    # a link that is pasted into an open page is followed as well
    other.evaluate("location.hash = ''")
    until(other, "document.querySelectorAll('#b-vstar-table tr.published:not([hidden])').length > 10")


def test_links_within_the_page_keep_the_state(report: Path, open_page: Open) -> None:
    page = open_page(report)
    page.locator("#b-vstar-table th[data-c=tools] button").click()
    page.locator("nav a", has_text="Trajectories").click()
    assert page.url.endswith("#trajectories&vstar.sort=tools:down")
    assert page.evaluate("document.getElementById('trajectories').getBoundingClientRect().top < innerHeight")
    again = open_page(page.url)
    until(again, "document.getElementById('trajectories').getBoundingClientRect().top < innerHeight")
    assert again.locator("#b-vstar-table th[data-c=tools]").get_attribute("aria-sort") == "descending"


def test_every_name_leads_to_its_figures_and_its_trajectories(report: Path, open_page: Open) -> None:
    page = open_page(report)
    page.locator("#b-numbers-table .name", has_text="blind").click()
    card = page.locator(".about:popover-open")
    text = card.inner_text()
    assert "4 × the server went away" in text
    assert "corrected for chance" in text
    card.get_by_role("link", name="Its trajectories").click()
    assert card.count() == 0
    until(page, "document.querySelector('.tj-field-run select').value === 'blind-numbers'")


def test_the_theme_follows_the_system_until_it_is_chosen(report: Path, open_page: Open) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = open_page(report), open_page(report, theme="dark")
    assert light.evaluate(background) != dark.evaluate(background)
    button = dark.get_by_role("button", name="Theme")
    button.click()
    assert button.inner_text() == "Theme: light"
    assert dark.evaluate(background) == light.evaluate(background)
    dark.reload()
    assert dark.get_by_role("button", name="Theme").inner_text() == "Theme: light"
    dark.get_by_role("button", name="Theme").click()
    assert dark.evaluate(background) != light.evaluate(background)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(report: Path, open_page: Open, axe: Callable[[Any], list[str]], theme: str) -> None:
    page = open_page(report, theme=theme)
    page.wait_for_selector(".tj-row")
    assert axe(page) == []
    page.locator("#b-vstar-table .name").first.click()
    assert axe(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_small_screen_scrolls_tables_and_not_the_page(
    report: Path, open_page: Open, shot: Callable[..., Path], theme: str
) -> None:
    page = open_page(report, width=390, height=844, theme=theme)
    shot(page, f"page-390-{theme}", whole=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator(".scroll:has(#b-vstar-table)")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    box.focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('.scroll:has(#b-vstar-table)').scrollLeft > 0")


def test_everything_can_be_reached_by_key(report: Path, open_page: Open) -> None:
    page = open_page(report)
    unreachable = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button, input, select, summary, .scroll')]
          .filter((one) => one.checkVisibility() && one.tabIndex < 0 && !one.closest('.tj'))
          .map((one) => one.outerHTML)"""
    )
    assert unreachable == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_paper_has_the_tables_and_no_controls(report: Path, open_page: Open, shot: Callable[..., Path]) -> None:
    page = open_page(report, theme="dark", width=1100)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in (".controls", "nav", "#trajectories", ".tools"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator("#b-vstar-table").is_visible()
    shot(page, "page-print", whole=True)


def test_the_tables_are_there_without_javascript(report: Path, open_page: Open) -> None:
    page = open_page(report, java_script_enabled=False)
    assert names(page, kind="measured") == ["careful", "blind"]
    assert page.locator("figure svg").first.is_visible()
    assert "need JavaScript" in page.locator("noscript").inner_text()
    page.locator("#b-vstar-table .name").first.click()
    assert page.locator(".about:popover-open").count() == 1
