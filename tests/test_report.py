"""The appendix page: escapes what is foreign, draws every figure, loads nothing."""

import json
import re

import pytest

from persona_collapse import charts, report


def notebook(tmp_path, cells):
    path = tmp_path / "03_compare_variants.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return path


def code(source, *outputs, tags=()):
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)},
        "outputs": list(outputs),
        "execution_count": 1,
    }


def shown(**data):
    return {"output_type": "display_data", "metadata": {}, "data": {k.replace("__", "/"): v for k, v in data.items()}}


def test_script_json_cannot_close_its_script():
    text = report.script_json([{"x": "</script><script>alert(1)</script>\u2028"}])
    assert "<" not in text and "\u2028" not in text
    assert json.loads(text) == [{"x": "</script><script>alert(1)</script>\u2028"}]


def test_raw_html_in_markdown_is_text():
    assert "<img" not in report.markdown("hello <img src=x onerror=alert(1)>")
    assert "javascript:" not in report.markdown("[x](javascript:alert(1))").replace("#harmful-link", "")


def test_formulae_become_mathml():
    assert "<math" in report.markdown("Let $x^2$ be") and 'display="block"' in report.markdown("$$\nx^2\n$$")


def test_code_is_folded_and_parameters_are_left_out(tmp_path):
    page = report._Page()
    text = report._notebook(
        page,
        notebook(
            tmp_path,
            [
                {"cell_type": "markdown", "source": "# Title\n\n## Part", "metadata": {}},
                code("study = 'x'", tags=["parameters"]),
                code("1 + 1", shown(text__plain="2 < 3")),
                code("versions", shown(text__plain="secret version"), tags=["nbval-ignore-output"]),
            ],
        ),
    )
    assert "study" not in text and "secret version" not in text
    assert "<details class='source'>" in text and "2 &lt; 3" in text
    assert [(level, title) for level, title, _ in page.contents] == [(2, "Title"), (3, "Part")]


def test_a_figure_stands_three_ways(tmp_path):
    spec = {
        "$schema": charts.SCHEMA, "description": 'Say "hi" <b>', "usermeta": {"caption": "A & B"},
        "data": {"name": "d"}, "datasets": {"d": [{"Model": "<i>x</i>", "value": 1.5}]},
        "mark": "point", "encoding": {"x": {"field": "value", "type": "quantitative"}},
    }  # fmt: skip
    page = report._Page()
    text = report._notebook(
        page, notebook(tmp_path, [code("chart", {"output_type": "execute_result", "data": {charts.MIME: spec}})])
    )
    assert 'aria-label="Say &quot;hi&quot; &lt;b&gt;"' in text
    assert 'src="data:image/svg+xml;base64,' in text
    assert "&lt;i&gt;x&lt;/i&gt;" in text and "A &amp; B" in text
    assert len(page.figures) == 1 and "$schema" not in page.figures[0]["spec"]


def test_markdown_links_between_notebooks_lead_nowhere_here():
    assert report.markdown("Next: [04](04_saturation.ipynb).") == "<p>Next: 04.</p>\n"


@pytest.fixture(scope="module")
def page(mini_page):
    return mini_page.read_text(encoding="utf-8")


def test_the_page_asks_the_network_for_nothing(page):
    without_script = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    loads = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', without_script)
    assert all(link.startswith(("data:", "#")) for link in loads)
    assert "default-src 'none'" in page


def test_the_page_says_that_it_is_simulated_and_holds_every_figure(page):
    assert page.count('class="simulated-banner"') == 1
    figures = len(re.findall(r'<figure id="figure-\d+">', page))
    assert figures == page.count('<img class="static"') >= 9
    assert len(page) < 10_000_000


def test_every_entry_of_the_contents_leads_somewhere(page):
    anchors = re.findall(r'href="#([^"]+)"', page)
    assert len(anchors) > 8
    assert all(f'id="{anchor}"' in page for anchor in anchors)
