"""The appendix page: escapes what is foreign, draws every figure, loads nothing."""

import html
import json
import re
import tempfile
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest

from persona_collapse.exhibits import theme
from persona_collapse.exhibits.exhibit import MARK
from persona_collapse.report import markdown, methods, notebook_section, pdf
from persona_collapse.report.markdown import script_json
from persona_collapse.report.page import Page, with_scopes
from persona_collapse.report.pdf import chromium, print_pdf, shutil
from persona_collapse.sections.record import SECTIONS, STUDY
from persona_collapse.study.study_file import Cluster


def notebook(tmp_path, cells):
    path = tmp_path / "03_compare_variants.ipynb"
    cells = [{"cell_type": "markdown", "source": "# Title\n\nReads it.\n\nWhat is *it*?", "metadata": {}}, *cells]
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
    text = script_json([{"x": "</script><script>alert(1)</script>\u2028"}])
    assert "<" not in text and "\u2028" not in text
    assert json.loads(text) == [{"x": "</script><script>alert(1)</script>\u2028"}]


def test_raw_html_in_markdown_is_text():
    assert "<img" not in markdown.markdown("hello <img src=x onerror=alert(1)>")
    assert "javascript:" not in markdown.markdown("[x](javascript:alert(1))").replace("#harmful-link", "")


def test_formulae_become_mathml():
    assert "<math" in markdown.markdown("Let $x^2$ be") and 'display="block"' in markdown.markdown("$$\nx^2\n$$")


def test_code_is_folded_and_parameters_are_left_out(tmp_path):
    page = Page()
    text = notebook_section.notebook(
        page,
        notebook(
            tmp_path,
            [
                {"cell_type": "markdown", "source": "## Part", "metadata": {}},
                code("study = 'x'", tags=["parameters"]),
                code("1 + 1", shown(text__plain="2 < 3")),
                code("versions", shown(text__plain="secret version"), tags=["nbval-ignore-output"]),
            ],
        ),
    )
    assert "study" not in text and "secret version" not in text
    assert '<div class="source">' in text and "2 &lt; 3" in text
    assert [(level, title) for level, title, _ in page.contents] == [(2, "Title"), (3, "Part")]


def test_what_a_library_warns_of_is_not_on_the_page(tmp_path):
    warned = {"output_type": "stream", "name": "stderr", "text": ["/home/somebody/altair.py:268: UserWarning: empty"]}
    printed = {"output_type": "stream", "name": "stdout", "text": ["as it was printed"]}
    text = notebook_section.notebook(Page(), notebook(tmp_path, [code("x", warned, printed)]))
    assert "UserWarning" not in text and "as it was printed" in text


def test_a_section_that_a_study_has_nothing_for_is_left_out(tmp_path):
    page = Page()
    heading = {"cell_type": "markdown", "source": "## Temperature", "metadata": {"tags": ["only-logprobs"]}}
    cells = [heading, code("curves", shown(text__plain="a curve"), tags=["only-logprobs"]), code("x", shown(text__plain="stays"))]
    assert "a curve" in notebook_section.notebook(Page(), notebook(tmp_path, cells))
    text = notebook_section.notebook(page, notebook(tmp_path, cells), {"only-logprobs"})
    assert (
        "Temperature" not in text
        and "a curve" not in text
        and "stays" in text
        and [title for _, title, _ in page.contents] == ["Title"]
    )


def test_the_demo_shows_no_empty_sections(mini_page):
    text = mini_page.read_text(encoding="utf-8")
    # Simulated samples: no temperatures, but the figures that they imitate and the frontier band.
    assert "At every temperature" not in text and ">Temperature<" not in text
    assert ">Against the printed figures<" in text and ">The frontier band<" in text


def test_a_figure_stands_three_ways(tmp_path):
    spec = {
        "$schema": theme.SCHEMA, "description": 'Say "hi" <b>', "usermeta": {"caption": "A & B"},
        "data": {"name": "d"}, "datasets": {"d": [{"Model": "<i>x</i>", "value": 1.5}]},
        "mark": "point", "encoding": {"x": {"field": "value", "type": "quantitative"}},
    }  # fmt: skip
    page = Page()
    text = notebook_section.notebook(
        page, notebook(tmp_path, [code("chart", {"output_type": "execute_result", "data": {theme.MIME: spec}})])
    )
    assert 'aria-label="Say &quot;hi&quot; &lt;b&gt;"' in text and 'alt="Say &quot;hi&quot; &lt;b&gt;"' in text
    assert 'src="data:image/svg+xml;base64,' in text
    assert "&lt;i&gt;x&lt;/i&gt;" in text and "A &amp; B" in text
    assert len(page.figures) == 1 and "$schema" not in page.figures[0]["spec"]


def test_alternative_text_says_what_is_seen_by_the_finding_below_the_figure(tmp_path):
    about = {"id": "figure-levels-robustness"}
    chart = shown(
        **{
            theme.MIME: {
                "description": "Dots.",
                "usermeta": about,
                "data": {"values": [{"x": 1}]},
                "mark": "point",
                "encoding": {},
            }
        }
    )
    cells = [
        code('pc.figures.levels(ratings, "robustness")', chart),
        code("Markdown(x)", shown(text__markdown="- **insecure**: R falls by 70 % \\[1\\].")),
        {"cell_type": "markdown", "source": "Prose.", "metadata": {}},
        code("Markdown(y)", shown(text__markdown="of another figure")),
    ]
    page = Page()
    text = notebook_section.notebook(page, notebook(tmp_path, cells))
    assert 'alt="Dots. insecure: R falls by 70 % [1]."' in text
    assert page.links("figure-levels-robustness") == "[Figure 1](#figure-1)"
    assert page.links("figure-levels-susceptibility") == ""


def test_tables_are_numbered_named_and_say_what_heads_what():
    page = Page()
    frame = pd.DataFrame({"run": ["a<b"], "S": [0.5]})
    first, second = page.table(frame, "Values of <all>.", key="k"), page.table(frame, "Again.")
    assert '<p class="caption" id="table-1-caption"><b>Table 1.</b> Values of &lt;all&gt;.</p>' in first
    assert 'role="region" aria-labelledby="table-1-caption"' in first and 'id="table-2"' in second
    assert '<th scope="col">run</th><th scope="col">S</th>' in first and '<th scope="row">a&lt;b</th>' in first
    assert page.links("k", "unknown") == "[Table 1](#table-1)"


def test_names_of_an_index_share_the_row_of_headings_and_a_count_is_left_out():
    named = pd.DataFrame({"S": [0.5]}, index=pd.Index(["base"], name="run")).to_html()
    text = with_scopes(named)
    assert '<thead><tr><th scope="col">run</th><th scope="col">S</th></tr></thead>' in text
    assert '<th scope="row">base</th>' in text
    counted = with_scopes(pd.DataFrame({"run": ["base"], "S": [0.5]}).to_html())
    assert '<thead><tr><th scope="col">run</th><th scope="col">S</th></tr></thead>' in counted
    assert '<th scope="row">base</th>' in counted and ">0<" not in counted


def test_every_table_of_the_study_notebooks_has_a_caption_of_its_own():
    found = []
    for entry in SECTIONS:
        if entry.per == STUDY:
            cells = json.loads(entry.source.read_text(encoding="utf-8"))["cells"]
            outputs = [output for cell in cells for output in cell.get("outputs", ()) if "text/html" in output.get("data", {})]
            found += [output["metadata"][MARK]["caption"] for output in outputs]
    assert len(found) == len(set(found)) >= 10 and all(caption.endswith(".") for caption in found)


def test_markdown_links_between_notebooks_lead_nowhere_here():
    assert markdown.markdown("Next: [04](04_saturation.ipynb).") == "<p>Next: 04.</p>\n"


@pytest.fixture(scope="module")
def page(mini_page):
    return mini_page.read_text(encoding="utf-8")


def test_the_page_asks_the_network_for_nothing(page):
    without_script = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    loads = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', without_script)
    assert all(link.startswith(("data:", "#", "replies.html")) for link in loads)  # the last is the page beside
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


def test_headings_come_in_order_below_one_title(page):
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(new <= old + 1 for old, new in pairwise(levels))


def test_the_page_has_landmarks_a_skip_link_and_names_for_all(page):
    for landmark in ('<header class="title">', '<nav aria-label="Contents">', '<main id="main"', "<footer"):
        assert page.count(landmark) == 1
    assert '<a class="skip" href="#main">' in page
    assert "<th>" not in page and not re.search(r'alt=""', page)


def test_numbers_of_tables_and_figures_run_in_the_order_of_the_page(page):
    for kind in ("table", "figure"):
        numbers = [int(n) for n in re.findall(rf'id="{kind}-(\d+)"', page)]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 12


def test_each_sentence_at_the_head_leads_to_the_figure_that_shows_it(page):
    head = page[page.index('class="answer') : page.index("<nav")]
    named = re.findall(r'<li>.*?href="#(figure-\d+)">Figure \d+</a>', head)
    captions = []
    for anchor in named:
        figure = page[page.index(f'id="{anchor}"') :]
        captions.append(figure[figure.index("<figcaption>") :].partition("</b>")[2].split(".")[0].strip())
    assert captions == ["Collapse map", "Collapse map", "Answers without a persona"]


def test_no_finding_stands_twice(page):
    """Sentences of findings, at the head and in sections; numbers alone differ between two of one form."""
    main = page[page.index('class="answer') : page.index("<footer")]
    found = re.findall(r'<div class="finding"[^>]*>(.*?)</div>', main, re.DOTALL)
    found.append(main[: main.index("<nav")])
    lines = [
        html.unescape(re.sub(r"<[^>]+>", "", line)) for part in found for line in re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", part)
    ]
    sentences = [s.strip() for line in lines for s in re.split(r"(?<=[.?!]) (?=[A-Z])", line)]
    twice = sorted({s for s in sentences if len(s) > 20 and sentences.count(s) > 1})
    assert (len(sentences) > 60, twice) == (True, [])


def test_a_section_is_closed_behind_a_line_that_says_what_is_in_it(tmp_path):
    text = notebook_section.notebook(
        Page(), notebook(tmp_path, [{"cell_type": "markdown", "source": "## A & B", "metadata": {}}])
    )
    assert text.startswith('<details class="section" name="section"><summary><h2 id="03_compare_variants-0">Title</h2>')
    assert '<span class="lead">What is it?</span></summary>' in text and "Reads it" not in text
    assert text.endswith('</details><p class="inside"><a href="#03_compare_variants-1">A &amp; B</a></p>')


def test_a_finding_that_stands_on_the_page_already_is_not_repeated(tmp_path):
    about = {MARK: {"id": "finding-single-foundations", "caption": ""}}
    said = {"output_type": "display_data", "metadata": about, "data": {"text/markdown": "Three claims remain."}}
    other = said | {"metadata": {}, "data": {"text/markdown": "Without a mark."}}
    text = notebook_section.notebook(Page(), notebook(tmp_path, [code("x", said), code("y", said), code("z", other, other)]))
    assert text.count("Three claims remain.") == 1 and text.count("Without a mark.") == 2
    assert '<div class="finding" id="finding-single-foundations">' in text


def test_prompts_stand_word_for_word_with_the_places_marked(page, mini):
    study = mini[0]
    shown = re.findall(r'<pre class="prompt"[^>]*>(.*?)</pre>', page, re.DOTALL)
    filled = html.unescape(shown[0]).replace("<mark>persona</mark>", "Ann").replace("<mark>question of the item</mark>", "Q")
    assert filled == study.instrument.persona_template.format(persona="Ann", item="Q")
    item = study.instrument.items[0]
    assert html.unescape(shown[1]).replace("<mark>item</mark>", item.text) == study.instrument.prompt(item)
    assert methods._marked("a {{b}} <c> {text}") == "a {b} &lt;c&gt; <mark>item</mark>"


def test_methods_say_what_is_left_out_and_when_personas_count_as_gone(mini):
    study = mini[0]
    said = methods._recommended(study)
    assert "Personas are taken as drawn one by one; where they come in families or from templates these intervals are" in said
    assert "lies\nbelow 0.5 of the base's pooled $S$." in said
    update = {"half": 0.3, "cluster": Cluster(column="house_hold")}
    named = replace(study, file=study.file.model_copy(update=update), clusters=tuple(f"h{p // 2}" for p in range(20)))
    said = methods._recommended(named)
    assert "come in 10 clusters (`house_hold`): not personas but clusters are left out, each whole" in said.replace("\\_", "_")
    assert "one by one" not in said and "below 0.3 of the base's" in said


def test_methods_say_what_noise_is_where_wording_varies(mini):
    study = mini[0]
    protocol = study.file.protocol.model_copy(update={"vary": {"wording": ("a", "b")}})
    varied = replace(study, file=study.file.model_copy(update={"protocol": protocol, "kind": "live"}))
    said = methods._recommended(varied)
    assert "$v_{pq}$ is the variance of its ratings within combinations of levels" in said
    assert "one cell at a\ntime, whatever its wording" in said and "Choices of one request.**" not in said
    assert "combinations" not in methods._recommended(study)


def test_methods_say_how_it_was_asked(page):
    # params/studies/mini.yaml: 20 personas, 5 repetitions; temperature and token limit are the defaults.
    assert "asked 5 times at temperature 0.1, with at most 1 token an answer" in page
    assert "as each of 20 personas of the deck everyday" in page
    assert page.count('display="block"') >= 8


def test_every_column_of_the_tables_is_in_the_dictionary(page, mini):
    words = page[page.index('id="dictionary"') : page.index('id="provenance"')]
    for column in (*mini[2].metrics, *mini[2].quality):
        assert f'<th scope="row">{column}</th>' in words
    assert "not described" not in words


def test_a_table_of_the_page_holds_the_numbers_of_its_file(page, mini):
    rows = mini[2].metrics.query("scope == 'overall' and metric == 'susceptibility' and method == 'recommended'")
    for row in rows.itertuples():
        assert f"<td>{row.value:.2f} [{row.lo:.2f}, {row.hi:.2f}]</td>" in page


def test_software_method_and_questionnaire_are_cited(page):
    cite = page[page.index('id="cite"') :]
    for words in ("persona-collapse", "arXiv 2605.12850", "arXiv 2511.08565", "Mapping the moral domain"):
        assert words in cite


def test_without_chromium_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"^Chromium is not installed \(looked for chromium, .*apt install chromium"):
        chromium()


def test_a_browser_that_fails_leaves_no_half_pdf(tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("<p>x</p>")
    monkeypatch.setattr(pdf, "chromium", lambda: "/bin/false")
    with pytest.raises(RuntimeError, match="could not print it"):
        print_pdf(tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_page_prints_to_pdf_without_its_script(tmp_path, monkeypatch):
    """However long the name of the folder for temporary files, in which the browser puts a socket."""
    try:
        chromium()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    folder = tmp_path / ("x" * 90)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "report.html").write_text("<p>x</p><script>document.body.innerHTML = 'y'.repeat(1e5)</script>")
    made = print_pdf(tmp_path / "report.html")
    assert made.name == "report.pdf" and made.read_bytes().startswith(b"%PDF-")
    assert made.read_bytes().count(b"/Type /Page\n") == 1  # one page: the script, which fills many, did not run
