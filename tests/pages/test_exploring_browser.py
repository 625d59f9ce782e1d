"""Lists and clicks of the exploring figures in a browser with the network off: what is chosen is what is shown, as text."""

from contextlib import contextmanager

import pytest

import hostile
from browsing import CELL, browser, chart_page, opened
from persona_collapse.exhibits import cell_figures, persona_figures, theme
from persona_collapse.store.ratings import read_ratings
from persona_collapse.tables import cell_replies
from persona_collapse.tables.cell_replies import CellReplies
from persona_collapse.text import tamed

pytestmark = pytest.mark.slow

#: The lines under a map, from top to bottom.
PANEL = """() => [...document.querySelectorAll(".mark-text text")].filter(t => t.__data__ && t.__data__.datum && t.__data__.datum.line)
  .sort((a, b) => a.__data__.datum.line - b.__data__.datum.line).map(t => t.textContent)"""
#: What the marks of a figure look like.
MARKS = "f => [...f.querySelectorAll('.role-mark path')].map(p => p.getAttribute('d') + p.getAttribute('fill') + p.getAttribute('transform')).join()"


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def counts(mini):
    study, store, _ = mini
    return {run: read_ratings(study, store).counts(run, "persona") for run in study.runs}


@pytest.fixture(scope="module")
def run(mini):
    return mini[0].run("gpt-4o", "insecure")


@contextmanager
def shown(chromium, folder, chart, **options):
    with opened(chromium, chart_page(folder, theme.spec(chart)), **options) as found:
        yield found


def cell_map(mini, counts, run, told):
    study = mini[0]
    return cell_figures.cell_map(counts[run], study, "sd", told)


@pytest.mark.parametrize("width", [1280, 360])
def test_a_click_on_a_cell_shows_the_replies_of_that_cell(chromium, tmp_path, mini, counts, run, width):
    told = cell_replies.replies_of_cells(read_ratings(mini[0], mini[1]), run)
    with shown(chromium, tmp_path, cell_map(mini, counts, run, told), width=width) as (page, seen):
        for persona, item in ((3, 2), (20, 1), (7, 12)):
            page.mouse.click(*page.evaluate(CELL, [persona, item]))
            page.wait_for_function(f"({PANEL})()[0].startsWith('{persona}. ')")
            lines = page.evaluate(PANEL)
            assert lines[-1 - told.cells[persona - 1][item - 1].count("\n") :] == told.cells[persona - 1][item - 1].split("\n")
            assert any(line.startswith(f"{item}. ") for line in lines)
            # the lists follow the click
            assert page.input_value("select[name=cell_Persona]") == str(persona)
        page.mouse.click(2, 2)
        page.wait_for_timeout(100)
        assert page.evaluate(PANEL) == lines  # beside all cells the last one stays
        assert seen.console == [] and len(seen.requests) == 1


def test_the_lists_choose_a_cell_by_keyboard(chromium, tmp_path, mini, counts, run):
    told = cell_replies.replies_of_cells(read_ratings(mini[0], mini[1]), run)
    with shown(chromium, tmp_path, cell_map(mini, counts, run, told)) as (page, _):
        page.select_option("select[name=cell_Persona]", "5")
        page.select_option("select[name=cell_Item]", "9")
        page.wait_for_function(f"({PANEL})()[0].startsWith('5. ')")
        assert page.evaluate(PANEL)[-1 - told.cells[4][8].count("\n") :] == told.cells[4][8].split("\n")


def test_the_list_sorts_the_rows(chromium, tmp_path, mini, counts, run):
    with shown(chromium, tmp_path, cell_map(mini, counts, run, None)) as (page, _):
        page.select_option("select[name=sorted_by]", label="deck")
        page.wait_for_timeout(200)
        heights = [page.evaluate(CELL, [persona, 1])[1] for persona in (1, 2, 3, 20)]
        # scrolled alike, as all rows are in view
        assert heights == sorted(heights)


def test_the_list_of_runs_changes_every_cell(chromium, tmp_path, mini, counts):
    with shown(chromium, tmp_path, cell_figures.cell_maps(counts, mini[0])) as (page, _):
        figure = page.locator("figure")
        before = figure.evaluate(MARKS)
        page.select_option("select[name=run]", label="GPT-4o base")
        page.wait_for_timeout(200)
        assert figure.evaluate(MARKS) != before
        assert (
            page.evaluate("[...document.querySelectorAll('.mark-rect path')].filter(p => p.__data__.datum.Item).length")
            == 2 * 20 * 30
        )


def test_trajectories_follow_their_lists_and_the_pointer(chromium, tmp_path, mini, counts):
    with shown(chromium, tmp_path, persona_figures.trajectories(counts, mini[0])) as (page, seen):
        figure = page.locator("figure")
        for name, label in (("foundation", "Purity"), ("family", "GPT-4o"), ("persona_Persona", "7. ")):
            before = figure.evaluate("f => f.querySelector('svg.marks').innerHTML")
            options = page.eval_on_selector_all(f"select[name={name}] option", "all => all.map(o => o.textContent)")
            page.select_option(f"select[name={name}]", label=next(text for text in options if text.startswith(label)))
            page.wait_for_timeout(200)
            assert figure.evaluate("f => f.querySelector('svg.marks').innerHTML") != before, name
        words = """() => [...document.querySelectorAll(".mark-text text")].filter(t => t.__data__.datum && t.__data__.datum.who)
          .map(t => t.textContent).join(" ")"""
        assert page.evaluate(words).startswith("7. ")
        # the pointer on the middle of a line, whoever's is on top there, and then beside all of them
        reach = "[...document.querySelectorAll('.mark-line path[stroke-width=\"9\"]')].pop()"
        x, y = page.evaluate(
            f"() => {{ const b = {reach}.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }}"
        )
        page.mouse.move(x, y)
        under = page.evaluate("([x, y]) => document.elementFromPoint(x, y).__data__.mark.items[0].datum.Persona", [x, y])
        page.wait_for_function(f"({words})().startsWith('{under}. ')")
        page.mouse.move(x, page.locator("figure svg.marks").bounding_box()["y"] + 70)
        page.wait_for_timeout(200)
        assert page.evaluate(words).startswith(f"{under}. ")
        assert seen.console == []


def test_one_among_all_and_answers_follow_their_lists(chromium, tmp_path, mini, counts, run):
    study = mini[0]
    for chart, names in (
        (persona_figures.one_among_all(counts[run], study), ("persona_Persona", "foundation")),
        (persona_figures.answers(counts, study), ("run", "foundation", "persona")),
    ):
        with shown(chromium, tmp_path, chart) as (page, _):
            for name in names:
                before = page.locator("figure").evaluate(MARKS)
                page.select_option(f"select[name={name}]", index=1)
                page.wait_for_timeout(200)
                assert page.locator("figure").evaluate(MARKS) != before, name


def test_the_first_figure_of_the_appendix_has_lists_that_choose(chromium, mini_page):
    with opened(chromium, mini_page) as (page, _):
        figure = page.locator("#figure-1")
        before = figure.evaluate(MARKS)
        figure.locator("select[name=foundation]").select_option(label="Authority")
        page.wait_for_timeout(200)
        assert figure.evaluate(MARKS) != before


def test_hostile_replies_are_read_and_never_run(chromium, tmp_path, mini, counts, run):
    payloads = hostile.PAYLOADS
    lines = [
        ["\n".join(cell_replies._lines([(None, "unparseable", payloads[(p * 30 + i) % len(payloads)], 1)])) for i in range(30)]
        for p in range(20)
    ]
    with shown(chromium, tmp_path, cell_map(mini, counts, run, CellReplies(lines, 0))) as (page, seen):
        for number in range(len(payloads)):
            persona, item = number // 30 + 1, number % 30 + 1
            x, y = page.evaluate(CELL, [persona, item])
            page.mouse.move(x, y)  # the tooltip is drawn
            page.mouse.click(x, y)
            page.wait_for_function(f"({PANEL})().some(line => line.startsWith('{item}. '))")
            read = "".join("".join(page.evaluate(PANEL)).split())
            assert "".join(tamed(payloads[number]).split())[:60] in read
        assert page.evaluate("Object.keys(window).filter(name => name.startsWith('pwn'))") == []
        assert seen.console == [] and len(seen.requests) == 1
