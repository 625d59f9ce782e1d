"""The head of a page: what each variant comes to in a sentence, and the verdict on all of them as a table."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from persona_collapse.exhibits.verdict_sentences import MEANS, called
from persona_collapse.report import answer
from persona_collapse.report.page import Page
from persona_collapse.tables.build import Tables


@pytest.fixture(scope="module")
def shown(mini):
    page = Page()
    page.places = {
        "figure-collapse-map": ("figure-6", "Figure 6"), "table-verdict": ("table-2", "Table 2"),
        "figure-self-profiles": ("figure-13", "Figure 13"),
    }  # fmt: skip
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
    columns = {
        "S (%)": "s", "noise (%)": "noise", "S beyond control (pp)": "excess_s", "noise beyond control (pp)": "excess_noise",
    }  # fmt: skip
    for row in rows:
        family, variant = names[row[0]]
        own = found[(found["family"] == family) & (found["variant"] == variant)].iloc[0]
        cells = dict(zip(head, row, strict=True))
        assert cells["verdict"] == called(own["verdict"]) and cells["personas told apart"] == "yes"
        for name, column in columns.items():
            numbers = re.findall(r"[-+]?\d+\.?\d*", cells[name])
            expected = [own[f"{column}{end}"] for end in ("", "_lo", "_hi")]
            assert len(numbers) == (3 if np.isfinite(expected[1]) else 0)
            for text, value in zip(numbers, expected, strict=False):
                assert abs(float(text) - value) <= 0.5 * 10 ** -len(text.partition(".")[2]) * 1.001, (row[0], name)


def test_a_verdict_has_its_meaning_on_hover_and_a_sentence_leads_to_its_figure(shown):
    assert f'<a href="#glossary"><abbr title="{MEANS["noisier"]}">noisier</abbr></a>' in shown
    first, second, third = re.findall(r"<li>(.*?)</li>", shown)
    assert re.fullmatch(
        r"<strong>insecure \(harmful fine-tuning\): collapse, dysregulated in 2 of 2 families\.</strong> On average over 2 families "
        r"answers differ more between personas \(\+\d+ % \[\d+, \d+\]; by family \+\d+ to \+\d+; \d+ of \d+ alternative analyses "
        r"agree\) and vary more for the same persona \(\+\d+ % \[\d+, \d+\]; by family \+\d+ to \+\d+; \d+ of \d+ alternative analyses "
        r'agree\)\. <a href="#figure-6">Figure 6</a>',
        first,
    )
    assert second.startswith(
        "<strong>secure (the matched control): noisier in 2 of 2 families.</strong> On average over 2 families answers "
    )
    assert "nearer to the ceiling than the base's in 2 of 2 families under insecure and 1 of 2 under secure." in html.unescape(
        third
    )
    assert "#figure-13" in third


def test_the_map_leads_to_its_figure_and_says_in_words_what_is_seen(shown):
    link = re.search(r'<a class="map" href="#figure-6"><img alt="([^"]*)" src="data:image/svg\+xml;base64,', shown)
    assert link[1] == (
        "Susceptibility against robustness of every run, with 95 % intervals as crosses. Simulated ratings. Figure 6 has every number."
    )


def test_a_study_of_bases_alone_opens_with_its_levels(bases):
    head, *rows = rows_of(answer.answer(Page(), bases))
    assert head[1:] == [
        "personas told apart", "Susceptibility S (scale points)", "Robustness R (1 / scale points)",
        "Within-persona noise (scale points)", "frontier models with a lower S (published; by the paper's formula)",
    ]  # fmt: skip
    levels = bases.metrics.query("scope == 'overall' and method == 'recommended' and metric == 'susceptibility'")
    assert [row[0] for row in rows] == ["GPT-4o base", "Qwen3-235B base"] and {row[1] for row in rows} == {"yes"}
    assert [row[2].split()[0] for row in rows] == [f"{value:.2f}" for value in levels["value"]]


@pytest.fixture(scope="module")
def bases(mini):
    return Tables(mini[2].ratings.only(runs=["gpt-4o/base", "qwen3-235b/base"]))


def test_many_variants_have_a_line_each_and_those_that_are_not_harmful_are_closed(mini, monkeypatch):
    monkeypatch.setattr(answer, "_MANY", 3)
    shown = answer.answer(Page(), mini[2])
    first, others = re.findall(r"<table.*?</table>", shown, re.DOTALL)
    assert 'id="verdict" class="many"' in first and "insecure" in first and ">GPT-4o secure<" not in first
    assert ">GPT-4o secure<" in others and "<summary>2 other variants</summary>" in shown and "id=" not in others
    assert 'class="map"' not in shown


def test_what_has_to_be_read_first_is_linked_at_the_head(mini):
    page = Page()
    page.places = {"finding-cautions": ("finding-cautions", "finding"), "finding-missing": ("finding-missing", "finding")}
    assert "Cautions" not in answer.answer(page, mini[2])
    lost = pd.DataFrame([{"family": "gpt-4o", "variant": "insecure", "metric": m, "value": 1.0, "least": 0.0, "most": 5.0,
                          "missing": 9, "slots": 10} for m in ("susceptibility", "within_rms")])  # fmt: skip
    shown = answer.answer(page, Tables(mini[2].ratings, missing=lost))
    assert (
        '<strong>Cautions</strong>: <a href="#finding-missing">changes whose sign depends on missing ratings</a>.</li>' in shown
    )


def test_an_interval_is_drawn_on_the_scale_of_its_column():
    """From -10 to 10 in 66 of 70 pixels, 2 on either side: 0 at 35, 5 at 51.5, -10 at 2; what never ends is cut at the end."""
    column = answer._Column("S", [(0.0, -10.0, 10.0), (5.0, 5.0, np.inf)])
    first, second = (answer._cell(column, place) for place in (0, 1))
    assert '<line x1="2.0" x2="68.0"' in first and '<circle cx="35.0"' in first and 'class="none" x1="35.0"' in first
    assert '<line x1="51.5" x2="68.0"' in second and "+5.0 <small>or more</small>" in second
    assert answer._cell(column._replace(rows=[(np.nan, np.nan, np.nan)]), 0) == "-"
