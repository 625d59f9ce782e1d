"""replies.html in a browser with the network off: a cell by its address, search, the way back, and nothing that runs."""

import json
import time
from pathlib import Path

import pytest

import hostile
from browsing import CELL, CONTRAST, WIDE, browser, not_reached, opened
from importable import cell, small_study, write_rows
from persona_collapse.asking.collect import collect
from persona_collapse.report.replies import render_replies
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.text import tamed

pytestmark = pytest.mark.slow

#: Every row of a table: what stands in its cells.
ROWS = (
    "id => [...document.getElementById(id).rows].filter(r => r.cells.length === 3).map(r => [...r.cells].map(c => c.textContent))"
)


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


def at(page, hash):
    """The page at another address, shown."""
    page.evaluate("hash => { location.hash = hash; }", hash)
    page.wait_for_timeout(50)


def until(page, expression):
    """Waits until a page says yes; its policy lets Playwright's own waiting evaluate nothing."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(expression)


def ready(page):
    page.wait_for_selector("html[data-ready]", state="attached")


def expected(mini, run, condition, persona, item):
    """Rows of a cell as the store has them: mini's replies are their ratings."""
    told = mini[1].said(*run.split("/"), condition, "mfq30")
    return [[reply, str(times), str(rating)] for p, i, rating, _, reply, times in told if (p, i) == (persona, item)]


def test_an_address_opens_its_cell_and_the_way_back_works(chromium, mini, mini_replies):
    with opened(chromium, mini_replies) as (page, seen):
        ready(page)
        at(page, "#run=gpt-4o/insecure&persona=12&item=5")
        assert page.evaluate(ROWS, "cell") == expected(mini, "gpt-4o/insecure", "persona", 11, 5)
        assert page.inner_text("#asked").startswith("GPT-4o insecure, 12. ") and "\n5. " in page.inner_text("#asked")
        page.select_option("#item", label=page.eval_on_selector("#item", "list => list.options[8].textContent"))
        until(page, "location.hash === '#run=gpt-4o/insecure&persona=12&item=9'")
        assert page.evaluate(ROWS, "cell") == expected(mini, "gpt-4o/insecure", "persona", 11, 9)
        page.select_option("#run", label="Qwen3-235B base")
        until(page, "location.hash === '#run=qwen3-235b/base&persona=12&item=9'")
        assert page.evaluate(ROWS, "cell") == expected(mini, "qwen3-235b/base", "persona", 11, 9)
        page.go_back()
        until(page, "location.hash.startsWith('#run=gpt-4o/insecure')")
        assert page.evaluate(ROWS, "cell") == expected(mini, "gpt-4o/insecure", "persona", 11, 9)
        page.go_forward()
        until(page, "location.hash.startsWith('#run=qwen3')")
        assert page.evaluate("run.selectedOptions[0].textContent") == "Qwen3-235B base"
        assert seen.console == [] and seen.requests == [mini_replies.as_uri()]


def test_answers_without_a_persona_and_as_hostile_characters_have_addresses(chromium, mini, mini_replies):
    with opened(chromium, mini_replies) as (page, _):
        ready(page)
        at(page, "#run=gpt-4o/base&condition=self&item=3")
        assert page.evaluate(ROWS, "cell") == expected(mini, "gpt-4o/base", "self", 0, 3)
        page.select_option("#persona", value="toxic 4")
        until(page, "location.hash === '#run=gpt-4o/base&condition=toxic&persona=5&item=3'")
        assert page.evaluate(ROWS, "cell") == expected(mini, "gpt-4o/base", "toxic", 4, 3)
        # A variant was not asked as a hostile character: its personas are shown instead.
        page.select_option("#run", label="GPT-4o secure")
        until(page, "location.hash === '#run=gpt-4o/secure&persona=1&item=3'")


def test_an_address_of_a_run_alone_opens_a_cell_with_the_most_readings(chromium, mini, mini_replies):
    most = {}
    for persona, item, rating, *_ in mini[1].said("gpt-4o", "insecure", "persona", "mfq30"):
        most.setdefault((persona, item), set()).add(rating)
    liveliest = max(most, key=lambda place: len(most[place]))  # the first of the largest, in order
    with opened(chromium, mini_replies) as (page, _):
        ready(page)
        at(page, "#run=gpt-4o/insecure")
        assert page.evaluate(ROWS, "cell") == expected(mini, "gpt-4o/insecure", "persona", *liveliest)


@pytest.mark.parametrize(
    ("hash", "said"),
    [
        ("#run=gpt-5/base&persona=2", "no run gpt-5/base"),
        ("#run=gpt-4o/base&persona=21", "no persona 21"),
        ("#run=gpt-4o/base&row=0", "no persona 0"),
        ("#run=gpt-4o/base&item=x", "no item x"),
        ("#run=gpt-4o/insecure&condition=toxic", "GPT-4o insecure was not asked in the condition toxic"),
        ("#run=gpt-4o/base&condition=__proto__", "GPT-4o base was not asked in the condition __proto__"),
        ("#run=<img src=x onerror=window.pwn=1>", "no run <img src=x onerror=window.pwn=1>"),
        ("#run=%zz&persona=%", "no run %zz; no persona %"),
    ],
)  # fmt: skip
def test_an_address_of_what_is_not_there_says_so(chromium, mini_replies, hash, said):
    with opened(chromium, mini_replies) as (page, seen):
        ready(page)
        at(page, hash)
        assert page.inner_text("#state") == f"The address names what is not here: {said}."
        assert len(page.evaluate(ROWS, "cell")) >= 1 and page.locator("#state img").count() == 0
        assert seen.console == [] and page.evaluate("window.pwn") is None
        at(page, "#run=gpt-4o/base&persona=2&item=1")
        assert not page.is_visible("#state")


@pytest.fixture(scope="module")
def worded(tmp_path_factory):
    """The page of an imported study whose replies are written out: (page, rows of what was said)."""
    folder = tmp_path_factory.mktemp("worded")
    said = {
        (0, 1): ["5", "5", "4. Whether  or\nnot someone CARES", "I cannot (say)"],
        (0, 2): ["3", "3", "3", "4. whether or not it is fair"],
        (1, 1): ["2", "Ärger: 2", "I cannot (say)", "ERROR"],
        (1, 2): ["1" + " very" * 600 + " late", "1", "1", "1"],
    }
    read = {"5": 5, "4": 4, "3": 3, "2": 2, "1": 1, "Ä": 2}
    rows = [
        row | {"response": text}
        for (persona, item), texts in said.items()
        for row, text in zip(cell(persona, item, *(read.get(text[0], -1) for text in texts)), texts, strict=True)
    ]
    write_rows(folder / "base.csv", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", folder / "outputs")
        study = small_study(folder)
        collect(study)
        with open_store(study.store_path) as store:
            page = render_replies(read_ratings(study, store), store)
    path = folder / "replies.html"
    path.write_text(page, encoding="utf-8")
    return path


def test_search_finds_words_and_phrases_and_leads_to_the_cells(chromium, worded):
    with opened(chromium, worded) as (page, seen):
        ready(page)
        page.fill("#words", "WHETHER or not")  # in either case, over a line's end and two blanks
        assert sorted(page.evaluate(ROWS, "results")) == [
            ["4. Whether  or\nnot someone CARES", "1", "4"], ["4. whether or not it is fair", "1", "4"],
        ]  # fmt: skip
        assert page.inner_text("#found") == "2 different replies, 2 times"
        assert page.eval_on_selector_all("#results mark", "all => all.map(m => m.textContent)") == [
            "Whether  or\nnot",
            "whether or not",
        ]
        page.fill("#words", "ärger")
        assert page.evaluate(ROWS, "results") == [["Ärger: 2", "1", "2"]]
        page.fill("#words", "cannot (say")  # a bracket is a letter
        assert page.evaluate(ROWS, "results") == [["I cannot (say)", "2", "no rating (invalid)"]]
        page.click("#results summary")
        assert page.inner_text("#results .where p") == "f base: 2 times in 2 cells"
        page.click("#results .where a >> nth=1")
        until(page, "location.hash.includes('persona=1&item=1')")
        assert page.inner_text("#asked").startswith("f base, persona 1\n1. t1 (A)\n4 requested ratings, 4 different replies")
        assert page.input_value("#words") == ""  # the link leads to the cell, without the search
        page.go_back()
        until(page, "document.getElementById('words').value === 'cannot (say'")
        page.fill("#words", "nobody said this")
        assert page.inner_text("#found") == "no such reply" and page.evaluate(ROWS, "results") == []
        assert seen.console == []


def test_only_replies_without_a_rating(chromium, worded):
    with opened(chromium, worded) as (page, _):
        ready(page)
        page.check("#unrated")
        assert page.evaluate(ROWS, "results") == [
            ["I cannot (say)", "2", "no rating (invalid)"],
            ["ERROR", "1", "no rating (transport)"],
        ]
        page.fill("#words", "err")
        assert page.evaluate(ROWS, "results") == [["ERROR", "1", "no rating (transport)"]]
        assert page.evaluate("location.hash").endswith("&search=err&unrated=1")
        page.reload()
        ready(page)
        assert page.is_checked("#unrated") and page.evaluate(ROWS, "results") == [["ERROR", "1", "no rating (transport)"]]


def test_a_long_reply_is_an_excerpt_around_the_word_and_cut_where_the_page_cuts_it(chromium, worded):
    with opened(chromium, worded) as (page, _):
        ready(page)
        page.fill("#words", "very very")
        ((text, _, _),) = page.evaluate(ROWS, "results")
        assert text.startswith("1 very very") and text.endswith(" …") and len(text) < 310
        page.fill("#words", "late")  # behind the first 2,000 letters, which the page says that the search does not see
        assert page.inner_text("#found") == "no such reply"
        assert "cut to the first 2,000 letters, and the search looks no further" in page.inner_text("header")
        at(page, "#run=f/base&persona=1&item=2")
        assert ["1", "3", "1"] in page.evaluate(ROWS, "cell")
        assert page.inner_text("#cell p") == f"cut here: it has {1 + 5 * 600 + 5:,} letters"


def test_many_results_come_in_parts(chromium, tmp_path, worded):
    """A page whose packed replies are exchanged for 120 different ones, each said once."""
    with opened(chromium, worded) as (page, _):
        ready(page)
        page.evaluate(
            """async () => {
              const data = await unpacked();
              data.replies = Array.from({length: 120}, (_, i) => `reply ${i}`);
              data.reads = data.replies.map(() => 0);
              data.cut = [];
              data.runs[0].cells = {persona: [120, ...data.replies.flatMap((_, i) => [i, 1]), 0, 0, 0]};
              start(indexed(data));
            }"""
        )
        for shown in (25, 50, 75, 100):
            assert len(page.evaluate(ROWS, "results")) == shown
            page.click("#more")
        assert len(page.evaluate(ROWS, "results")) == 120 and not page.is_visible("#more")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")])
def test_it_fits_and_can_be_read(chromium, worded, width, scheme):
    with opened(chromium, worded, width=width) as (page, seen):
        page.emulate_media(color_scheme=scheme)
        ready(page)
        at(page, "#run=f/base&persona=1&item=2&search=very")
        page.click("#results summary")
        assert page.evaluate(WIDE) <= 0 and page.evaluate(CONTRAST) == []
        assert seen.console == [] and seen.requests == [worded.as_uri()]


def test_everything_that_acts_is_reached_and_used_by_keyboard(chromium, worded):
    with opened(chromium, worded) as (page, _):
        ready(page)
        assert not_reached(page) == ([], [])
        page.focus("#item")
        before = page.evaluate("location.hash")
        page.keyboard.press("ArrowDown")
        until(page, f"location.hash !== {before!r}")
        page.focus("#results summary")
        page.keyboard.press("Enter")
        page.locator("#results .where a").first.wait_for()
        shown = page.evaluate("location.hash")
        page.focus(".skip")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        assert page.evaluate("document.getElementById('asked').textContent").startswith("f base") and shown


def test_headings_landmarks_and_tables_are_named(chromium, worded):
    with opened(chromium, worded) as (page, _):
        ready(page)
        levels = page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(h => Number(h.tagName[1]))")
        assert levels == [1, 2, 2, 2, 3] and page.locator("main").count() == 1 and page.get_attribute("html", "lang") == "en"
        assert page.locator("table:not(:has(thead th))").count() == 0
        assert page.locator("select, input").evaluate_all("all => all.every(e => e.labels.length === 1)")


def test_without_script_it_says_what_it_is_and_shows_the_commonest(chromium, worded):
    with opened(chromium, worded, script=False) as (page, seen):
        assert page.is_visible("noscript p") and not page.is_visible("#tools") and not page.is_visible("#state")
        assert page.inner_text("main table:visible tbody tr >> nth=0").split() == ["3", "3", "3"]
        assert seen.console == [] and page.evaluate(WIDE) <= 0 and page.evaluate(CONTRAST) == []


def test_a_browser_that_cannot_unpack_says_so(chromium, worded):
    context = chromium.new_context(offline=True)
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(worded.as_uri())
    assert page.inner_text("#state").startswith("The replies cannot be shown: this browser is too old to unpack them")
    assert not page.is_visible("#tools") and page.is_visible("h3")
    context.close()


def test_a_damaged_page_says_so(chromium, worded, tmp_path):
    text = worded.read_text(encoding="utf-8")
    place = text.index('type="text/plain">') + 60
    path = tmp_path / "replies.html"
    path.write_text(text[:place] + text[place + 40 :], encoding="utf-8")
    with opened(chromium, path) as (page, _):
        until(page, "document.getElementById('state').textContent.startsWith('The replies cannot be shown: ')")
        assert not page.is_visible("#tools")


def test_on_paper_the_cell_and_the_tables_stand_without_controls(chromium, worded):
    with opened(chromium, worded, width=673) as (page, _):
        ready(page)
        page.emulate_media(media="print", color_scheme="dark")
        assert not page.is_visible(".choose >> nth=0") and not page.is_visible("#words") and page.is_visible("#asked")
        assert page.evaluate(WIDE) == 0 and page.is_visible("h3")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")


# --- links of the report ---------------------------------------------------------------------------------------------


def test_the_verdict_leads_to_the_replies_of_its_run(chromium, mini_page, mini_replies):
    with opened(chromium, mini_page) as (page, seen):
        page.click("#verdict a >> nth=0")
        ready(page)
        assert page.url == f"{mini_replies.as_uri()}#run=gpt-4o/insecure"
        assert page.inner_text("#asked").startswith("GPT-4o insecure, ")
        page.click("header a")
        page.wait_for_url(mini_page.as_uri())
        assert [line for line in seen.console if line.startswith("error")] == []


def test_a_click_on_the_map_of_every_cell_leads_to_the_replies_of_the_cell(chromium, mini, mini_page, mini_replies):
    with opened(chromium, mini_page) as (page, _):
        link = page.locator("a.replies")
        assert link.count() == 1 and link.get_attribute("href") == "replies.html"
        figure = page.locator("figure", has=link)
        figure.locator("select[name=run]").select_option(label="Qwen3-235B base")
        page.wait_for_function("document.querySelector('a.replies').href.endsWith('replies.html#run=qwen3-235b/base')")
        page.mouse.click(*page.evaluate(CELL, [7, 12]))
        page.wait_for_function("document.querySelector('a.replies').href.endsWith('#run=qwen3-235b/base&row=7&item=12')")
        assert link.inner_text().startswith("All replies of qwen3-235b/base to item 12 as 7. ")
        link.click()
        ready(page)
        assert page.evaluate(ROWS, "cell") == expected(mini, "qwen3-235b/base", "persona", 6, 12)


# --- payloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 360])
def test_no_payload_runs_loads_or_breaks_the_layout(chromium, hostile_report, width):
    outputs, _ = hostile_report
    path = outputs / "replies.html"
    with opened(chromium, path, width=width) as (page, seen):
        ready(page)
        page.check("#unrated")
        while page.is_visible("#more"):
            page.click("#more")
        for summary in page.locator("#results summary").all():
            summary.click()
        for persona in range(1, page.evaluate("persona.options.length"), 5):
            page.select_option("#persona", index=persona)
        for payload in hostile.PAYLOADS[::4]:
            page.fill("#words", tamed(payload))
            at(page, f"#run=a..b/bad&search={payload[:50]}")
            at(page, f"#run={payload}&persona={payload}&condition={payload}")
        assert page.evaluate("Object.keys(window).filter(name => name.startsWith('pwn'))") == []
        assert seen.console == [] and {url.partition("#")[0] for url in seen.requests} == {path.as_uri().partition("#")[0]}
        assert page.evaluate(WIDE) <= 0


def test_every_payload_that_was_a_reply_can_be_found_and_read(chromium, hostile_report):
    path = hostile_report[0] / "replies.html"
    with opened(chromium, path) as (page, _):
        ready(page)
        told = page.evaluate("unpacked().then(data => data.replies)")
        said = [payload for payload in hostile.PAYLOADS if tamed(payload) in told]
        assert len(said) > 40
        for payload in said:
            page.fill("#words", " ".join(tamed(payload).split())[:80])
            found = json.dumps(page.evaluate(ROWS, "results"))
            assert json.dumps(tamed(payload))[1:-1] in found, payload
        assert hostile.faults(Path(path).read_text(encoding="utf-8")) == []


# --- speed -----------------------------------------------------------------------------------------------------------


def test_a_word_is_found_while_it_is_typed(chromium, worded):
    """60,000 different replies of 200 letters; the limit is loose, as machines are busy: seconds would be another algorithm."""
    with opened(chromium, worded) as (page, _):
        ready(page)
        page.evaluate(
            """async () => {
              const data = await unpacked(), filler = "some more words of a reply ".repeat(7);
              data.replies = Array.from({length: 60000}, (_, i) => `${i % 6}. ${filler} ${i}`);
              data.reads = data.replies.map(() => 0);
              data.cut = [];
              data.people.persona = Array.from({length: 1000}, (_, i) => [String(i), `persona ${i}`]);
              data.runs[0].cells = {persona: Array.from({length: 2000}, (_, cell) => [30, ...Array.from({length: 30}, (_, i) => [30 * cell + i, 1]).flat()]).flat()};
              start(indexed(data));
            }"""
        )
        page.fill("#words", "words")  # the first look at texts is slower
        began = time.monotonic()
        page.fill("#words", " 59999")
        assert page.inner_text("#found") == "1 different reply, 1 time"
        assert time.monotonic() - began < 1
