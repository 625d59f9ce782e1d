"""registry.html in a browser with the network off: filters, search, sorting by keyboard, at every width, light, dark and on paper."""

import pytest

from browsing import CONTRAST, WIDE, browser, not_reached, opened
from hostile import PAYLOADS
from persona_collapse.registry import rows
from persona_collapse.registry.make import render

pytestmark = pytest.mark.slow

#: What stands in a column of the rows that are shown.
SHOWN = (
    "place => [...document.getElementById('runs').tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[place].textContent)"
)
#: Milliseconds until a page of sixty runs shows its first text, on a busy machine; half of that was seen on an idle one.
SOON = 1000


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


def sixty() -> list[dict]:
    """Sixty runs of twelve families: S falls as the run's number grows, every third has none, every fourth is simulated."""
    return [
        dict.fromkeys(rows.COLUMNS)
        | {
            "study": "small", "family": f"f{n // 5:02d}", "variant": f"v{n}", "role": "harmful", "dataset": f"d{n % 3}",
            "recipe": "r", "seed": "", "of": "", "instrument": "mfq30", "kind": "live", "simulated": n % 4 == 0, "stack": "x",
            "first": "2026-03-01T10:00:00", "last": "2026-03-02T10:00:00", "personas": 100, "repetitions": "10",
            "requested": 30000, "rated": 30000, "missing_pct": 0.0, "s": None if n % 3 == 0 else 12 - n / 10, "s_lo": 0.1,
            "s_hi": 20.0, "state": ("asked", "complete")[n % 2], "complete": n % 2 == 1, "file": "small.yaml", "note": "",
        }
        for n in range(60)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def page_of_sixty(tmp_path_factory):
    path = tmp_path_factory.mktemp("registry") / "registry.html"
    path.write_text(render(rows.frame(sixty())), encoding="utf-8")
    return path


def column(page, heading):
    return page.evaluate(
        "name => [...document.querySelectorAll('#runs thead th')].findIndex(th => th.textContent === name)", heading
    )


def test_filters_and_words_narrow_the_rows_and_all_come_back(chromium, page_of_sixty):
    with opened(chromium, page_of_sixty) as (page, seen):
        assert page.inner_text("#found") == "60 of 60 rows"
        page.get_by_label("dataset").select_option(label="d1")
        assert page.inner_text("#found") == "20 of 60 rows"
        assert set(page.evaluate(SHOWN, column(page, "dataset"))) == {"d1"}
        page.get_by_label("state").select_option(label="complete")  # of 1, 4, 7, ... the odd ones
        assert page.evaluate(SHOWN, column(page, "variant")) == [f"v{n}" for n in range(1, 60, 6)]
        page.fill("#words", "F05")  # 25 to 29
        assert page.evaluate(SHOWN, column(page, "variant")) == ["v25"]
        page.fill("#words", "nothing of the kind")
        assert page.inner_text("#found") == "0 of 60 rows"
        page.click("#clear")
        assert page.inner_text("#found") == "60 of 60 rows" and page.input_value("#words") == ""
        page.get_by_label("ratings").select_option(label="simulated")
        assert page.inner_text("#found") == "15 of 60 rows"
        assert seen.console == [] and seen.requests == [page_of_sixty.as_uri()]


def test_a_heading_sorts_numbers_as_numbers_both_ways_and_what_is_missing_stays_last(chromium, page_of_sixty):
    up = [f"v{n}" for n in range(59, 0, -1) if n % 3]  # S falls with the number: 6.1 of v59 is the least, 11.9 of v1 the most
    none = [f"v{n}" for n in range(0, 60, 3)]
    with opened(chromium, page_of_sixty) as (page, _):
        heading = page.locator("#runs thead th", has=page.get_by_role("button", name="S", exact=True))
        heading.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "ascending"
        assert page.evaluate(SHOWN, column(page, "variant")) == up + none
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "descending"
        assert page.evaluate(SHOWN, column(page, "variant")) == up[::-1] + none
        page.get_by_role("button", name="family", exact=True).click()
        assert heading.get_attribute("aria-sort") is None
        assert page.evaluate(SHOWN, column(page, "family")) == sorted(f"f{n // 5:02d}" for n in range(60))


def test_every_row_says_whose_ratings_it_has(chromium, page_of_sixty):
    with opened(chromium, page_of_sixty, script=False) as (page, _):
        cells = page.locator("#runs tbody tr td:nth-child(5)").all_inner_texts()
        assert cells == ["simulated" if n % 4 == 0 else "of a model" for n in range(60)]
        assert page.locator("noscript").inner_text().startswith("Filters and sorting need JavaScript")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_can_be_read_and_is_reached_by_the_keyboard(chromium, page_of_sixty, width, scheme):
    with opened(chromium, page_of_sixty, width=width) as (page, _):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate(WIDE) == 0
        assert page.evaluate(CONTRAST) == []
        if scheme == "light":
            assert not_reached(page) == ([], [])


def test_on_paper_it_has_no_controls(chromium, page_of_sixty):
    with opened(chromium, page_of_sixty) as (page, _):
        page.emulate_media(media="print")
        assert not page.is_visible("#tools") and page.is_visible("#runs") and page.is_visible(".funnel")


def test_sixty_runs_open_within_a_second(chromium, page_of_sixty):
    with opened(chromium, page_of_sixty) as (page, _):
        for _ in range(200):  # it is told a frame later
            if paints := page.evaluate("performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)"):
                break
            page.wait_for_timeout(25)
        assert 0 < paints[0] < SOON


def test_payloads_run_nothing_and_can_be_chosen_and_sorted(chromium, tmp_path):
    about = {"role": "base", "family": "f", "variant": "v", "state": "asked", "simulated": False, "note": ""}
    texts = (
        "study",
        "family",
        "variant",
        "dataset",
        "recipe",
        "stack",
        "verdict",
        "presence",
        "instrument",
        "seed",
        "of",
        "file",
    )
    table = rows.frame([dict.fromkeys(rows.COLUMNS) | about | dict.fromkeys(texts, payload) for payload in PAYLOADS])
    wrong = {"study": PAYLOADS[0], "file": PAYLOADS[1], "note": " ".join(PAYLOADS), "state": ""}
    path = tmp_path / "registry.html"
    path.write_text(render(rows.frame([*table.to_dict("records"), wrong])), encoding="utf-8")
    with opened(chromium, path) as (page, seen):
        choice = page.get_by_label("dataset")
        for place in range(1, len(PAYLOADS) + 1):
            choice.select_option(index=place)
            assert page.inner_text("#found") == f"1 of {len(PAYLOADS) + 1} rows"
        page.click("#clear")
        for button in page.locator("#runs thead button").all():
            button.click()
        assert page.evaluate("Object.keys(window).filter(name => name.startsWith('pwn'))") == []
        assert seen.console == [] and seen.requests == [path.as_uri()]
