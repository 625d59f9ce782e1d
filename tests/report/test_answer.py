"""The head of a page: what each variant comes to in a sentence, and the verdict on all of them as a table."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from persona_collapse.exhibits.verdict_sentences import MEANS
from persona_collapse.report import answer
from persona_collapse.report.page import Page
from persona_collapse.tables.build import Tables


@pytest.fixture(scope="module")
def shown(mini):
    page = Page()
    page.places = {"table-verdict": ("table-2", "Table 2"), "figure-self-profiles": ("figure-13", "Figure 13")}
    return answer.answer(page, mini[2])


def rows_of(text):
    table = text[text.index('<table id="verdict">') : text.index("</table>")]
    table = re.sub(r"<svg.*?</svg>", "", table)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)]
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in rows]


def test_harmful_variants_stand_first_and_every_number_is_in_the_tables(mini, shown):
    head, *rows = rows_of(shown)
    found = mini[2].verdict
    assert [row[0] for row in rows] == ["GPT-4o insecure", "Qwen3-235B insecure", "GPT-4o secure", "Qwen3-235B secure"]
    names = {run.name: run.keys for run in mini[0].runs}
    columns = {"S": "s", "noise": "noise", "S beyond control": "excess_s", "noise beyond control": "excess_noise"}
    for row in rows:
        family, variant = names[row[0]]
        own = found[(found["family"] == family) & (found["variant"] == variant)].iloc[0]
        cells = dict(zip(head, row, strict=True))
        assert cells["verdict"] == own["verdict"].replace(": ", ", ") and cells["personas told apart"] == "yes"
        for name, column in columns.items():
            numbers = re.findall(r"[-+]?\d+\.?\d*", cells[name])
            expected = [own[f"{column}{end}"] for end in ("", "_lo", "_hi")]
            assert len(numbers) == (3 if np.isfinite(expected[1]) else 0)
            for text, value in zip(numbers, expected, strict=False):
                assert abs(float(text) - value) <= 0.5 * 10 ** -len(text.partition(".")[2]) * 1.001, (row[0], name)


def test_a_verdict_has_its_meaning_on_hover_and_a_sentence_leads_to_its_table(shown):
    assert f'<abbr title="{MEANS["noisier"]}">noisier</abbr>' in shown
    first, second, third = re.findall(r"<li>(.*?)</li>", shown)
    assert first.startswith("<strong>insecure: collapse, dysregulated in 2 of 2 families</strong>. S rises by ")
    assert first.endswith('on average. <a href="#table-2">Table 2</a>') and second.startswith("<strong>secure: noisier in 2 of")
    assert "nearer to the ceiling than the base's in 2 of 2 families under insecure and 1 of 2 under secure." in html.unescape(
        third
    )
    assert "#figure-13" in third


def test_answers_of_a_single_family_are_not_counted():
    near, far = pd.DataFrame({"hi": [-0.1]}), pd.DataFrame({"hi": [0.1]})
    said = "answers are clearly nearer to the ceiling than the base's under bad"
    assert answer._nearer([("bad", near)]) == said
    assert answer._nearer([("bad", near), ("ok", far)]) == f"{said}, not under ok"
    assert answer._nearer([("ok", far)]) == "no answers are clearly nearer to the ceiling than the base's (under ok)"


def test_a_study_of_bases_alone_has_no_answer(mini):
    none = Tables(mini[2].ratings, verdict=mini[2].verdict[:0])
    assert answer.answer(Page(), none) == ""


def test_an_interval_is_drawn_on_the_scale_of_its_column():
    """From -10 to 10 in 72 of 76 pixels, 2 on either side: 0 at 38, 5 at 56, -10 at 2; what never ends is cut at the end."""
    column = answer._Column("S", [(0.0, -10.0, 10.0), (5.0, 5.0, np.inf)])
    first, second = (answer._cell(column, place) for place in (0, 1))
    assert '<line x1="2.0" x2="74.0"' in first and '<circle cx="38.0"' in first and 'class="none" x1="38.0"' in first
    assert '<line x1="56.0" x2="74.0"' in second and "+5.0 <small>or more</small>" in second
    assert answer._cell(column._replace(rows=[(np.nan, np.nan, np.nan)]), 0) == "-"
