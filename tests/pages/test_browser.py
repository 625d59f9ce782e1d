"""The appendix in a browser with the network off: what it draws, what can be pressed, who can read it, and what never runs."""

import re
import zlib
from itertools import pairwise

import pytest

import hostile
from browsing import CONTRAST, WIDE, browser, not_reached, opened
from persona_collapse.exhibits import pictures

pytestmark = pytest.mark.slow

#: Letters of drawn figures that stand out from the page by less than 4.5 to 1, and grounds of figures that are light.
FIGURES = """() => {
  const light = text => { const c = text.match(/[\\d.]+/g).map(Number).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const under = light(getComputedStyle(document.body).backgroundColor), found = [];
  for (const text of document.querySelectorAll("figure .drawn svg.marks text")) {
    const [a, b] = [light(getComputedStyle(text).fill), under].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (text.textContent.trim() && ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${text.textContent}`);
  }
  for (const e of document.querySelectorAll("figure, figure .card, figure .drawn, figure svg.marks, figure svg .background")) {
    const style = getComputedStyle(e), color = e.matches(".background") ? style.fill : style.backgroundColor;
    if (color !== "none" && !/, 0\\)$/.test(color) && light(color) > 0.5) found.push(`${e.closest("figure").id} on ${color}`);
  }
  return found;
}"""
#: Words of what only a screen can do.
PRESSED = re.compile(r"\b(hover\w*|click\w*|buttons?|choos\w+|the lists?|switch\w*|drag\w*|press\w*)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def drawn(chromium, mini_page):
    """The page of the mini study on a desktop, and what it did; tests leave it as they found it."""
    with opened(chromium, mini_page) as found:
        yield found


def test_the_console_is_clean_and_nothing_is_asked_of_the_network(drawn, mini_page):
    _, seen = drawn
    assert seen.console == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [mini_page.as_uri()]


def test_the_first_screen_holds_the_answer(chromium, mini_page):
    """1280 x 800 without scrolling: title, verdict, map and three sentences; the next section begins below."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page = context.new_page()
    page.goto(mini_page.as_uri())
    bottom = "e => e.getBoundingClientRect().bottom"
    for part in ("h1", "#verdict", ".map img", ".answer ul"):
        assert 0 < page.eval_on_selector(part, bottom) < 800, part
    cut = "e => e.scrollWidth - e.clientWidth"
    assert page.eval_on_selector(".answer .table", cut) <= 0  # no column is hidden
    # All sections closed: twelve screens at most.
    assert page.evaluate("document.body.scrollHeight") < 12 * 800
    context.close()


def test_sections_open_one_at_a_time_or_all(chromium, mini_page):
    with opened(chromium, mini_page, closed=True) as (page, seen):
        count = "document.querySelectorAll('details.section[open]').length"
        drawn = "document.querySelectorAll('figure.live').length"
        assert page.evaluate(count) == 0 and page.evaluate(drawn) == 0  # a figure is drawn when its section opens
        sections = page.locator("details.section > summary")
        sections.nth(0).click()
        page.wait_for_function(f"{drawn} > 5")
        sections.nth(1).click()
        assert page.evaluate(count) == 1
        assert page.locator("nav li.l3:visible").count() == page.locator("details.section[open] h3").count() > 3
        page.check("#open-all")
        assert page.evaluate(count) == sections.count() > 8
        page.uncheck("#open-all")
        assert page.evaluate(count) == 0 and seen.console == []


def test_a_link_opens_what_it_leads_to(chromium, mini_page):
    with opened(chromium, mini_page, closed=True) as (page, _):
        for link in page.locator(".answer li a, .map, .inside a").all()[:8]:
            target = link.get_attribute("href").removeprefix("#")
            link.click()
            assert page.locator(f'[id="{target}"]').is_visible()
            page.wait_for_function(
                "id => { const box = document.getElementById(id).getBoundingClientRect(); return box.top < 900 && box.bottom > 0; }",
                arg=target,
            )
            page.evaluate("document.querySelectorAll('details.section').forEach(section => { section.open = false; })")
    with opened(chromium, mini_page, closed=True) as (page, _):
        page.goto(f"{mini_page.as_uri()}#figure-6")  # from another page, or a bookmark
        assert page.locator("#figure-6").is_visible()


def test_every_figure_is_drawn(drawn):
    page, _ = drawn
    marks = page.eval_on_selector_all("figure", "all => all.map(f => f.querySelectorAll('.drawn svg .role-mark path').length)")
    assert len(marks) >= 9 and all(marks)


def test_the_buttons_choose_between_estimators_and_back(drawn):
    page, _ = drawn
    figure = page.locator("figure", has=page.locator('input[type=radio][value="paper\'s formula"]')).first
    before = figure.locator("svg").first.inner_html()
    figure.locator('input[value="paper\'s formula"]').check()
    assert figure.locator("svg").first.inner_html() != before
    figure.locator("input[value=recommended]").check()
    assert figure.locator("svg").first.inner_html() == before


def test_a_click_on_a_legend_brings_one_variant_forward(drawn):
    page, _ = drawn
    # A legend that cannot be pressed lets the pointer through.
    entry = ".role-legend-symbol:not([pointer-events=none]) path"
    figure = page.locator("figure", has=page.locator(entry)).first
    faded = "f => [...f.querySelectorAll('.role-mark path')].filter(p => p.getAttribute('opacity') === '0.12').length"
    assert figure.evaluate(faded) == 0
    figure.locator(entry).first.click()
    assert 0 < figure.evaluate(faded) < figure.evaluate("f => f.querySelectorAll('.role-mark path').length")
    figure.locator(entry).first.click(modifiers=["Shift"])  # takes it out of the selection again
    assert figure.evaluate(faded) == 0


def test_the_page_switches_all_figures_to_one_family_and_to_published_estimators(drawn):
    page, _ = drawn
    names = page.eval_on_selector_all("select[name=family] option", "all => all.map(o => o.textContent)")
    name = "nav select[name=family]"
    assert names[:3] == ["all families", "GPT-4o", "Qwen3-235B"] and page.locator(name).count() == 1

    def labels(figure):
        return page.locator(f"#figure-{figure} .drawn svg.marks").text_content()

    # What is seen of a family: its name under the bars, beside the dots, over the panels.
    several = [i for i in range(1, 8) if "Qwen3-235B" in labels(i)]
    assert len(several) >= 5
    page.select_option(name, "GPT-4o")
    page.wait_for_function("!document.querySelector('#figure-1 .drawn svg.marks').textContent.includes('Qwen3')")
    page.wait_for_timeout(300)
    assert [i for i in several if "Qwen3-235B" in labels(i)] == []
    assert all("GPT-4o" in labels(i) for i in several)
    page.select_option(name, "all families")
    page.wait_for_function("document.querySelector('#figure-1 .drawn svg.marks').textContent.includes('Qwen3')")
    page.select_option("nav select[name=estimators]", "paper's formula")
    # The buttons under each figure follow.
    page.wait_for_function("[...document.querySelectorAll('figure input[value^=paper]')].every(button => button.checked)")
    page.select_option("nav select[name=estimators]", "recommended")
    page.wait_for_function("[...document.querySelectorAll('figure input[value=recommended]')].every(button => button.checked)")


def test_headings_follow_each_other_without_a_jump(drawn):
    page, _ = drawn
    levels = page.eval_on_selector_all("h1, h2, h3, h4, h5, h6", "all => all.map(h => Number(h.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(new <= old + 1 for old, new in pairwise(levels)), levels


def test_every_picture_says_in_words_what_is_seen(drawn):
    page, _ = drawn
    said = page.eval_on_selector_all("img", "all => all.map(i => i.alt)")
    said += page.eval_on_selector_all("figure [role=img]", "all => all.map(i => i.getAttribute('aria-label') || '')")
    assert len(said) >= 18 and all(len(text) > 20 for text in said)
    assert page.locator("figure:not(:has(figcaption))").count() == 0


def test_every_table_names_its_columns(drawn):
    page, _ = drawn
    assert page.locator("table").count() > 9
    assert page.locator("table:not(:has(thead th))").count() == 0
    assert page.locator("thead td").count() == 0


def test_the_page_has_landmarks_and_a_language(drawn):
    page, _ = drawn
    assert page.locator("main").count() == 1 and page.locator("nav[aria-label]").count() == 1
    assert page.get_attribute("html", "lang") == "en" and page.title()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_lies_under_it(drawn, scheme):
    page, _ = drawn
    page.emulate_media(color_scheme=scheme)
    faults = page.evaluate(CONTRAST)
    page.emulate_media(color_scheme="light")
    assert faults == []


def test_in_dark_mode_every_figure_is_dark_and_its_letters_stand_out(drawn):
    page, _ = drawn
    assert any("svg" in fault or "on rgb" in fault for fault in page.evaluate(FIGURES))  # by day they are light
    page.emulate_media(color_scheme="dark")
    faults = page.evaluate(FIGURES)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    assert faults == []
    assert ground == "rgb({}, {}, {})".format(*bytes.fromhex(pictures.GROUND[1:]))  # on which all colors are judged


def corner(page, picture):
    """The color of a picture's first pixel as it stands on the page: a PNG of one pixel, whose filters have nothing to add."""
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    png = page.screenshot(clip={"x": box["x"] + 1, "y": box["y"] + 1, "width": 1, "height": 1})
    data, at = b"", 8
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        data, at = data + png[at + 8 : at + 8 + length] * (kind == b"IDAT"), at + 12 + length
    return tuple(zlib.decompress(data)[1:4])


def test_a_picture_is_dark_without_script_and_light_on_paper(chromium, mini_page):
    with opened(chromium, mini_page, script=False) as (page, _):
        picture = page.locator("figure img.static").first
        assert corner(page, picture) == (255, 255, 255)
        page.emulate_media(color_scheme="dark")
        assert corner(page, picture) == tuple(bytes.fromhex(pictures.GROUND[1:]))
        page.emulate_media(color_scheme="dark", media="print")
        assert corner(page, picture) == (255, 255, 255)


@pytest.mark.parametrize("name", ["mini_page", "comparison_page"])
def test_nothing_on_paper_wants_to_be_pressed(chromium, request, name):
    with opened(chromium, request.getfixturevalue(name), width=673) as (page, _):
        assert PRESSED.search(page.inner_text("main"))
        page.emulate_media(media="print")
        text = page.inner_text("body")
        assert [text[max(0, m.start() - 50) : m.end() + 50] for m in PRESSED.finditer(text)] == []
        if name == "mini_page":  # what was chosen for the picture is said instead
            assert "Shown: insecure, over all items" in text


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_scrolls_sideways_but_what_is_framed(chromium, mini_page, width):
    with opened(chromium, mini_page, width=width) as (page, _):
        assert page.evaluate(WIDE) <= 0


def test_everything_that_acts_is_reached_and_used_by_keyboard(chromium, mini_page):
    with opened(chromium, mini_page) as (page, _):
        assert not_reached(page) == ([], [])
        page.keyboard.press("Tab")  # round to the first
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.focus("figure#figure-2 input[value=recommended]")
        page.keyboard.press("ArrowRight")
        assert page.is_checked('figure#figure-2 input[value="paper\'s formula"]')
        page.focus("figure#figure-2 details.numbers summary")
        page.keyboard.press("Enter")
        assert page.locator("figure#figure-2 details.numbers table").is_visible()


def test_on_paper_static_pictures_stand_in_and_nothing_is_cut_off(chromium, mini_page):
    # A4 less its margins is 178 mm, 673 px of 96 to the inch.
    with opened(chromium, mini_page, width=673) as (page, _):
        page.emulate_media(media="print")
        shown = "all => all.filter(e => e.getClientRects().length).length"
        for gone in ("nav", ".skip", ".simulated-banner", "details:not(.rows, .section)", ".rows summary", "figure .drawn"):
            assert page.eval_on_selector_all(gone, shown) == 0, gone
        figures = page.locator("figure").count()
        assert page.eval_on_selector_all("figure img.static", shown) == figures
        assert page.locator(".print-banner").is_visible()
        assert page.evaluate(WIDE) == 0
        cut = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1).map(e => e.id)"
        assert page.eval_on_selector_all(".table, figure .card", cut) == []
        # Heads of tables come again on every sheet, and no row, figure or warning is torn.
        style = "([selector, name]) => [...new Set([...document.querySelectorAll(selector)].map(e => getComputedStyle(e)[name]))]"
        assert page.evaluate(style, [".table.long thead", "display"]) == ["table-header-group"]
        for whole in ("figure", "tr", "pre.prompt"):
            assert page.evaluate(style, [whole, "breakInside"]) == ["avoid"], whole
        page.emulate_media(media="print", color_scheme="dark")  # paper stays light
        assert page.evaluate(style, ["body", "backgroundColor"]) in (["rgba(0, 0, 0, 0)"], ["rgb(255, 255, 255)"])


def test_the_page_is_readable_before_its_figures_are_drawn(chromium, mini_page):
    """First paint does not wait for the script: the text stands with the script bundle still to come."""
    text = mini_page.read_text(encoding="utf-8")
    assert text.index("</main>") < text.index("<script>")
    with opened(chromium, mini_page) as (page, _):
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        drawn = page.evaluate("performance.now()")
        assert 0 < paint < drawn


def test_without_script_static_pictures_stand_in(chromium, mini_page):
    with opened(chromium, mini_page, script=False) as (page, seen):
        assert seen.console == []
        assert page.locator("#verdict").is_visible() and "insecure" in page.inner_text("#verdict")
        # Without script sections keep opening one at a time; here all are looked at.
        page.eval_on_selector_all("details.section", "all => all.forEach(e => e.removeAttribute('name'))")
        for summary in page.locator("details.section > summary").all():
            summary.click()
        figures = page.locator("figure").count()
        assert figures >= 9
        pictures = page.locator("figure img.static")
        assert pictures.count() == figures
        for summary in page.locator("details.rows > summary").all():
            summary.click()  # what is long is closed, and opens without script
        for picture in pictures.all():
            box = picture.bounding_box()
            assert picture.is_visible() and box["width"] > 100 and box["height"] > 50
        assert page.locator("figure .drawn:visible").count() == 0


@pytest.mark.parametrize("width", [1280, 360])
def test_two_studies_side_by_side_are_drawn_read_and_fit(chromium, comparison_page, width):
    with opened(chromium, comparison_page, width=width) as (page, seen):
        assert seen.console == []
        assert [url for url in seen.requests if not url.startswith("data:")] == [comparison_page.as_uri()]
        marks = page.eval_on_selector_all(
            "figure", "all => all.map(f => f.querySelectorAll('.drawn svg .role-mark path').length)"
        )
        assert len(marks) == 7 and all(marks)
        assert page.evaluate(WIDE) <= 0 and page.evaluate(CONTRAST) == []
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(CONTRAST) == [] and page.evaluate(FIGURES) == []


@pytest.mark.parametrize("width", [1280, 360])
def test_no_payload_runs_loads_or_breaks_the_layout(chromium, hostile_report, width):
    outputs, _ = hostile_report
    with opened(chromium, outputs / "report.html", width=width) as (page, seen):
        # Hovering and pressing are when tooltips and filters evaluate what they hold.
        for mark in page.locator("figure .role-mark path").all()[:40]:
            mark.dispatch_event("pointerover")
        for choice in page.locator("figure input[type=radio]").all():
            choice.check()
        assert page.evaluate("Object.keys(window).filter(name => name.startsWith('pwn'))") == []
        # Vega warns of data without numbers; a message of a payload would name its marker.
        assert [line for line in seen.console if not line.startswith("warning: WARN Infinite extent")] == []
        assert [url for url in seen.requests if not url.startswith("data:")] == [(outputs / "report.html").as_uri()]
        assert page.evaluate(WIDE) <= 0
        # They are there to be read: every payload of the title, with what acts on a screen made visible.
        title = page.inner_text("h1")
        assert [marker for marker in hostile.MARKERS if marker not in title] == []
