"""Study titles, labels, personas, models, replies and questionnaires are text wherever they come out, whatever they hold."""

import base64
import csv
import gzip
import hashlib
import html
import json
import re
import zipfile

import pytest

import hostile
import importable
from hostile import MARKERS, PAYLOADS, RUN, Found, assert_is_a_picture, faults, lab, labelled, specifications
from persona_collapse.asking.collect import collect, import_report
from persona_collapse.exhibits import change_sentences, data_sentences, level_sentences, study_figures, theme, validity_sentences
from persona_collapse.files import guarded
from persona_collapse.report import markdown, notebook_section, page_sections
from persona_collapse.report.markdown import script_json
from persona_collapse.report.page import Page
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.text import CONTROLS, safe, tamed

NAMED = pytest.mark.parametrize("payload", PAYLOADS, ids=MARKERS)


@pytest.fixture(scope="module")
def outputs_of(hostile_report):
    return hostile_report[0]


@pytest.fixture(scope="module")
def page(outputs_of):
    return (outputs_of / "report.html").read_text(encoding="utf-8")


# --- payload by payload ----------------------------------------------------------------------------------------------


def test_the_battery_is_large_and_its_markers_differ():
    assert len(PAYLOADS) >= 40 and len(set(MARKERS)) == len(PAYLOADS)
    assert all(marker in payload for marker, payload in zip(MARKERS, PAYLOADS, strict=True))


def test_the_reader_finds_what_is_not_text():
    # A raw page of payloads must look guilty, or nothing below shows anything.
    guilty = [payload for payload in PAYLOADS if faults(f"<p>{payload}</p>")]
    assert len(guilty) > 20
    assert faults("<p onclick=x>") and faults("<a href='javascript:x'>") and faults("<img src='http://x'>") and faults("<svg>")
    assert faults('<p class="a" id="b">c &lt;b&gt;</p><img alt="x" src="data:image/png;base64,AA">') == []


@NAMED
def test_in_markdown_it_is_the_same_text(payload):
    shown = safe(payload)
    for text in (markdown.markdown(shown), lab([{"outputs": [{"data": {"text/markdown": shown}}]}])):
        assert faults(text) == []
        assert html.unescape(re.sub(r"<[^>]*>", "", text)).split() == tamed(payload).split()


@NAMED
def test_as_a_label_it_stays_text_in_sentences_tables_and_figures(payload, mini, monkeypatch):
    study, found = labelled(mini[0], payload), mini[2]
    run = study.runs[0]
    own = found.quality[found.quality["variant"] == run.variant.key]
    sentences = [
        data_sentences.run_line(study, run, own), data_sentences.study_line(study), data_sentences.cautions(found.quality, study),
        level_sentences.saturated(found.saturation, found.profiles, found.drift, study), change_sentences.change(found.contrasts, study, "susceptibility"),
        change_sentences.excess(found.contrasts, study, "within_rms"), change_sentences.remarks(found, study),
        validity_sentences.overview(found.headlines, found.validity, study), validity_sentences.stacks(found, study),
    ]  # fmt: skip
    assert faults("\n".join(map(markdown.markdown, sentences))) == []
    assert faults(lab([{"outputs": [{"data": {"text/markdown": sentence}} for sentence in sentences]}])) == []
    assert faults(page_sections.runs_section(Page(), study, found)) == []
    monkeypatch.setattr(notebook_section, "static_picture", lambda spec: "<svg/>")  # drawn once, for all payloads, below
    spec = theme.spec(study_figures.levels(found.metrics, study, "robustness"))
    assert faults(notebook_section._figure(Page(), spec, "")) == []
    assert "<" not in script_json(spec)
    assert [text for key, text in specifications(spec) if key in RUN and "pwn" in text] == []


# --- a whole report --------------------------------------------------------------------------------------------------


def test_no_element_or_attribute_of_the_page_comes_from_a_payload(page):
    assert faults(page) == []
    scripts = [attributes for tag, attributes in Found(page).elements if tag == "script"]
    assert [s for s in scripts if s not in ({}, {"id": "figures", "type": "application/json"})] == []
    assert "default-src 'none'" in page and not CONTROLS.search(page)


def test_no_element_or_attribute_of_the_page_of_replies_comes_from_a_payload(outputs_of):
    text = (outputs_of / "replies.html").read_text(encoding="utf-8")
    assert faults(text) == [] and not CONTROLS.search(text)
    scripts = [attributes for tag, attributes in Found(text).elements if tag == "script"]
    assert scripts == [{"id": "replies", "type": "text/plain"}, {}]
    # One script runs, the page's own, whatever else came into it.
    own = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    hashed = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'; base-uri" in text
    assert "pwn" not in own and "innerHTML" not in own and "eval" not in own


def test_every_payload_can_be_read_on_the_page(page):
    text = html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)))
    assert [payload for payload in PAYLOADS if "".join(tamed(payload).split()) not in "".join(text.split())] == []


def test_figures_hold_payloads_as_data_only(page):
    found = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.DOTALL)
    strings = list(specifications(json.loads(found[1])))
    assert any("pwn" in text for _, text in strings)
    assert [text for key, text in strings if key in RUN and "pwn" in text] == []


def test_static_pictures_are_pictures_whose_text_is_text(page):
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert len(pictures) >= 9
    for picture in pictures:
        assert_is_a_picture(base64.b64decode(picture))


def test_notebooks_hold_payloads_as_text_before_jupyterlab_cleans_them(outputs_of):
    notebooks = sorted((outputs_of / "notebooks").rglob("*.ipynb"))
    assert len(notebooks) == 7
    shown = ""
    for path in notebooks:
        text = lab(json.loads(path.read_text(encoding="utf-8"))["cells"])
        assert faults(text) == [], path.name
        shown += text
    assert sum(marker in shown for marker in MARKERS) == len(MARKERS)


def test_a_spreadsheet_finds_no_formula_in_the_tables(outputs_of):
    cells = [
        (path.name, cell)
        for path in (outputs_of / "tables").glob("*.csv")
        for row in csv.reader(path.open(encoding="utf-8", newline=""))
        for cell in row
    ]
    assert any("HYPERLINK" in cell for _, cell in cells)
    assert [cell for cell in cells if guarded(cell[1]) != cell[1]] == []


def test_the_terminal_shows_text_only(hostile_report):
    assert not CONTROLS.search(hostile_report[1])


def test_nothing_is_written_beside_the_outputs(outputs_of):
    root = outputs_of.parent.parent
    assert {p.name for p in root.iterdir()} <= {
        "lib",
        "notebooks",
        "params",
        "CITATION.cff",
        "outputs",
        "deck.csv",
        "short.yaml",
        f"{hostile.NAME}.yaml",
    }
    assert [p.name for p in outputs_of.parent.iterdir()] == [hostile.NAME]


# --- what else goes out or comes in ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(outputs_of, tmp_path_factory):
    return hostile.export(outputs_of, tmp_path_factory.mktemp("export"))


def test_an_export_is_as_safe(exported):
    packed, exported = next(exported.glob("*.zip")), exported / "export"
    assert faults(lab([{"outputs": [{"data": {"text/markdown": (exported / "README.md").read_text()}}]}])) == []
    for path in [*exported.rglob("*.csv"), *exported.rglob("*.csv.gz")]:
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
        assert [cell for row in csv.reader(text.splitlines(True)) for cell in row if guarded(cell) != cell] == [], path.name
    for path in exported.rglob("*.tex"):
        assert "\\href" not in path.read_text(), path.name
    with zipfile.ZipFile(packed) as archive:
        assert [n for n in archive.namelist() if not re.fullmatch(r"[A-Za-z0-9-]+(/[A-Za-z0-9][A-Za-z0-9._-]*)+", n)] == []
    assert faults((exported / "replies.html").read_text(encoding="utf-8")) == []
    pictures = list(exported.rglob("*.svg"))
    assert (
        len(pictures) == 6
    )  # of 02_metrics: where it stands, one among all, by foundation, by persona, means of cells, SDs of cells
    for path in pictures:
        assert_is_a_picture(path.read_bytes())
    assert "pwn" in json.dumps(json.loads((exported / "croissant.json").read_text()))


def test_replies_of_an_imported_file_are_text(tmp_path, outputs):
    rows = importable.grid(range(len(PAYLOADS)), 2, 1, 4)
    for row in rows:
        if row["question_id"] == 1:
            row |= {"rating": -1, "response": PAYLOADS[row["persona_id"]].replace("\x00", "")}
    importable.write_rows(tmp_path / "base.csv", rows)
    study = importable.small_study(tmp_path, title=" ".join(p for p in PAYLOADS if "\x00" not in p))
    collect(study)
    with open_store(study.store_path) as store:
        table = store.replies("f", "base", study.instrument.key, limit=1000)
        origin = store.origin("f", "base")[1]
    text = lab([{"outputs": [{"data": {"text/html": table.to_html()}}]}])
    assert faults(text) == [] and [marker for marker in MARKERS if marker not in text] == []
    assert faults(lab([{"outputs": [{"data": {"text/markdown": data_sentences.imported(origin)}}]}])) == []
    assert not any(CONTROLS.search(line) for line in import_report(study))


@pytest.mark.parametrize("name", ["..", "...", "a\x1b[31m", "a\u202eb", "a\nb"])
def test_a_study_file_whose_name_names_no_folder_is_refused(tmp_path, name):
    path = tmp_path / f"{name}.yaml"
    path.write_text("title: T\n", encoding="utf-8")
    with pytest.raises(ValueError, match="its name cannot name a folder; expected letters, digits and dashes; rename it"):
        load_study(path)


@pytest.mark.parametrize("key", ["..", "../x", "a/b", "/tmp", "", ".x", "a\\b", "a\n", "-rf", "<b>"])
def test_a_run_cannot_be_called_a_path(tmp_path, key):
    with pytest.raises(ValueError, match="key"):
        importable.small_study(tmp_path, [{"key": key, "role": "base", "persona": "base.csv"}])
