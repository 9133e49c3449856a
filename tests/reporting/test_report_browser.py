"""The report in a real browser: quiet, alone, sortable by mouse and keyboard, on a phone, in print and in the dark.

Skipped where there is no Chromium with its driver.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import re

import pytest

from benchmarks.records import metrics
from benchmarks.report import write
from tests.helpers.browser import browser, console, requests, resize, why_not
from tests.helpers.report_samples import filled
from tests.helpers.results_samples import records, save

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a browser is here")

A4 = 718  # pixels between the margins
TABLE = "table-paper-overview_citation"
VALUES = {"gcn": [81.0], "gat": [100.0, 101.0], "cheb": [9.5], "dna": [-3.0], "spline": [-20.0]}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = filled(tmp_path_factory.mktemp("browser") / "results")
    for architecture, values in VALUES.items():
        save(folder, records(values, method="mine", architecture=architecture, dataset="karate"))
    save(folder, records([50.0, 51.0], method="fa"))  # with one of the other methods there is a matrix
    unbounded = dataclasses.replace(metrics.lookup("accuracy"), minimum=-math.inf, maximum=math.inf)
    with pytest.MonkeyPatch.context() as patch:  # a page sorts numbers of all sizes and signs
        patch.setitem(metrics._REGISTRY, "accuracy", unbounded)
        write(folder)
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        driver.get("about:blank")
        requests(driver), console(driver)  # those of the browser's first page
        driver.get((folder / "report.html").as_uri())
        yield driver


def heading(page, name):
    (found,) = page.find_elements(
        "xpath", f"//table[@aria-labelledby='{TABLE}']//th[button[normalize-space()='{name}']]"
    )
    return found


def column(page, name):
    """The texts of a column from top to bottom, those of our made-up dataset."""
    script = """
        const table = document.querySelector(`table[aria-labelledby="${arguments[0]}"]`);
        const heads = [...table.tHead.rows[0].cells].map((cell) => cell.innerText.trim());
        const rows = [...table.tBodies[0].rows].filter((row) => row.cells[0].innerText === "karate");
        return rows.map((row) => row.cells[heads.indexOf(arguments[1])].textContent.trim());"""
    return page.execute_script(script, TABLE, name)


def test_it_opens_in_silence_and_asks_nobody(page):
    """An error in the console means that something does not work; a request, that the file is not self-contained."""
    assert requests(page) == [page.current_url]
    assert console(page) == []
    page.execute_script("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    script = "return Promise.all([...document.images].map((image) => image.decode().then(() => 1, () => image.alt)))"
    found = page.execute_script(script)
    assert len(found) >= 4 and set(found) == {1}  # every picture can be shown
    assert requests(page) == []


def test_a_heading_sorts_by_number_and_the_keyboard_does_too(page):
    """Sorted as text −3 stands before −20 and 100.5 before 9.5; without a mouse there is only the keyboard."""
    from selenium.webdriver.common.keys import Keys

    given = column(page, "mine")
    ascending = ["-20.0 (n=1)", "-3.0 (n=1)", "9.5 (n=1)", "81.0 (n=1)", "100.5 ± 0.7"]
    assert sorted(given) == sorted(ascending) and given != ascending
    first, last = heading(page, "mine"), heading(page, "architecture")
    first.find_element("tag name", "button").click()
    assert column(page, "mine") == ascending and first.get_attribute("aria-sort") == "ascending"
    first.find_element("tag name", "button").send_keys(Keys.ENTER)
    assert column(page, "mine") == ascending[::-1] and first.get_attribute("aria-sort") == "descending"
    first.find_element("tag name", "button").send_keys(Keys.SPACE)
    assert column(page, "mine") == given and first.get_attribute("aria-sort") == "none"
    last.find_element("tag name", "button").click()
    names = column(page, "architecture")
    assert names == sorted(names) and first.get_attribute("aria-sort") == "none"
    assert last.get_attribute("aria-sort") == "ascending"
    last.find_element("tag name", "button").send_keys(Keys.ENTER, Keys.ENTER)
    assert console(page) == []


def test_missing_numbers_come_last_in_both_directions(page):
    """A table sorted to find the best would begin with what was not run."""
    button = heading(page, "mine").find_element("tag name", "button")
    script = """
        const rows = document.querySelector(`table[aria-labelledby="${arguments[0]}"]`).tBodies[0].rows;
        const column = [...document.querySelectorAll(`table[aria-labelledby="${arguments[0]}"] thead th`)]
            .findIndex((head) => head.innerText.trim() === "mine");
        return [...rows].map((row) => /\\d/.test(row.cells[column].textContent));"""
    for _ in range(2):
        button.click()
        known = page.execute_script(script, TABLE)
        assert known == sorted(known, reverse=True) and sum(known) == len(VALUES) < len(known)
    button.click()


def test_a_number_opens_its_records(page):
    """Provenance is folded up; a link to something folded would seem to do nothing."""
    link = page.find_element("css selector", f"table[aria-labelledby='{TABLE}'] td a")
    anchor = link.get_attribute("href").partition("#")[2]
    entry = page.find_element("id", anchor)
    assert entry.get_attribute("open") is None
    page.execute_script("arguments[0].click()", link)
    page.execute_async_script("setTimeout(arguments[0], 100)")
    assert entry.get_attribute("open") is not None
    assert 0 <= page.execute_script("return arguments[0].getBoundingClientRect().top", entry) < 400


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_no_page_scrolls_sideways(page, width):
    """On a phone a page that is wider than the screen is read through a keyhole; wide tables scroll by themselves."""
    resize(page, width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script("return innerWidth") == width
    inner, outer = page.execute_script(
        "const box = document.querySelector(`table[aria-labelledby='${arguments[0]}']`).parentElement;"
        "return [box.scrollWidth, box.clientWidth]",
        TABLE,
    )
    assert inner > outer if width == 320 else inner >= outer


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_either_scheme(page, scheme):
    """Grey on grey: contrast of text with its ground is 4.5 or more (WCAG 2.1, 1.4.3)."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    script = """
        const ground = (place) => {
            for (; place; place = place.parentElement) {
                const colour = getComputedStyle(place).backgroundColor;
                if (!/, 0\\)$/.test(colour)) return colour;
            }
        };
        const names = "h1, h2, h3, h4, p, li, a, th, td, figcaption, dt, dd, summary, pre, span";
        const shown = document.querySelectorAll(names);
        return [...new Set([...shown].filter((one) => !one.closest("svg"))
            .map((one) => getComputedStyle(one).color + "|" + ground(one)))];"""
    pairs = [pair.split("|") for pair in page.execute_script(script)]
    grounds = {ground for _, ground in pairs}
    assert len(pairs) > 4 and ("rgb(255, 255, 255)" in grounds) == (scheme == "light")
    assert {tuple(pair): contrast(*pair) for pair in pairs if contrast(*pair) < 4.5} == {}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def contrast(text: str, ground: str) -> float:
    """Contrast ratio of two rgb() colours, by WCAG's definition."""
    lights = sorted(map(luminance, (text, ground)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_print_hides_what_paper_cannot_do(page):
    """Paper has no links to follow and nothing to scroll: what lies outside of a scrolling box would be cut off."""
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    styles = page.execute_script(
        "const style = (name) => getComputedStyle(document.querySelector(name));"
        "return [style('nav').display, style('.scroll').overflowX, style('tr').breakInside, style('h2').breakAfter]"
    )
    assert styles == ["none", "visible", "avoid", "avoid"]
    resize(page, A4)
    assert page.execute_script("return document.documentElement.scrollWidth") <= A4
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", printed)) >= 2


def test_texts_of_drawings_have_the_colours_that_they_were_given(page):
    """The rule for links made the numbers on the matrix's dark tiles dark as well: nobody could read them."""
    script = """
        const two = (part) => (+part).toString(16).padStart(2, "0");
        const hex = (colour) => "#" + colour.match(/\\d+/g).map(two).join("");
        return [...document.querySelectorAll(".drawing a text[fill]")]
            .map((text) => [text.getAttribute("fill"), hex(getComputedStyle(text).fill)]);"""
    found = page.execute_script(script)
    assert {given for given, _ in found} >= {"#ffffff"}
    assert all(given == seen for given, seen in found)
