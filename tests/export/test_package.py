"""What an author takes away: whole, described, safe to open, fit to print."""

import csv
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml

import importable
from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import theme
from persona_collapse.export import latex, package, print_figures, print_layout
from persona_collapse.export.latex import Column, LatexTable
from persona_collapse.export.package import Wishes, make_export
from persona_collapse.export.stable_pdf import stable
from persona_collapse.files import guarded
from persona_collapse.paths import NOTEBOOKS
from persona_collapse.report import dictionary
from persona_collapse.report.run_notebooks import jobs
from persona_collapse.sections.record import all_tables
from persona_collapse.store.rows import Answer, Question
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study

#: Words of what only a screen can do.
PRESSED = re.compile(r"\b(hover\w*|click\w*|buttons?|choos\w+|lists?|switch\w*|drag\w*|press\w*)\b", re.IGNORECASE)
HOSTILE = (
    "=cmd|'/C calc'!A0 </script><b>\\input{/etc/passwd} $x_1^2$ #1 50% & ~ {\\write18{id}} [link](javascript:x) `a` 中\u202e é --"
)


def lay_notebooks(study, store, **figures):
    """Executed notebooks as a report leaves them: the committed ones that are named, empty ones for the rest."""
    for job in jobs(study, store):
        job.output.parent.mkdir(parents=True, exist_ok=True)
        name = figures.get("/".join([*list(job.parameters.values())[1:], job.name]).replace("/", "__"))
        text = (NOTEBOOKS / f"{name}.ipynb").read_text() if name else json.dumps({"cells": []})
        job.output.write_text(text)


@pytest.fixture(scope="module")
def exported(mini):
    """The export of the mini study, with the figures of two notebooks: (study, folder, zip bytes)."""
    study, store, _ = mini
    # The study is the session's: its page stands on notebooks that have to be there again afterwards.
    before = {path: path.read_bytes() for path in (study.outputs / "notebooks").rglob("*.ipynb")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", study.outputs.parent)
        lay_notebooks(study, store, **{"04_saturation": "04_saturation", "gpt-4o__base__02_metrics": "02_metrics"})
        packed = make_export(study)
        for path, content in before.items():
            path.write_bytes(content)
        return study, study.outputs / "export", packed.read_bytes()


@pytest.fixture
def small(tmp_path, outputs):
    """An imported study of two items, exported as wished; returns a function that gives the folder."""
    importable.write_rows(tmp_path / "base.csv", importable.grid(range(3), 2, 1, 4))
    study = importable.small_study(tmp_path)
    collect(study)

    def export(**wishes):
        with open_store(study.store_path) as store:
            lay_notebooks(study, store)
        make_export(study, Wishes(**wishes))
        return study.outputs / "export"

    return export


def test_human_respondents_are_somebody_elses_and_go_by_number(tmp_path, outputs):
    """Their table is exported; their ratings only where that is asked for, and never their ids."""
    importable.write_rows(tmp_path / "base.csv", importable.grid(range(3), 2, 1, 4))
    (tmp_path / "people.csv").write_text("respondent,q1,q2\nbob@mail,0,5\nann@mail,4,\n", encoding="utf-8")
    study, said = importable.small_study(tmp_path, reference="people.csv"), []
    collect(study)
    with open_store(study.store_path) as store:
        lay_notebooks(study, store)
    folder = study.outputs / "export"
    make_export(study, say=said.append)
    assert said[1] == "small: ratings of people of people.csv are left out; RATINGS=1 puts them in, where they may be passed on"
    assert (folder / "tables" / "reference.csv").is_file() and not (folder / "data" / "respondents.csv").exists()
    assert (
        "Ratings of human respondents are of whoever collected them, and are not included." in (folder / "README.md").read_text()
    )
    make_export(study, Wishes(ratings=True))
    # ann@mail comes first by her id, and left out item 2.
    assert (folder / "data" / "respondents.csv").read_text() == "persona,item,repetition,rating\n0,1,1,4\n1,1,1,0\n1,2,1,5\n"
    assert "`data/respondents.csv`" in (folder / "README.md").read_text()
    described = pd.read_csv(folder / "data" / "data-dictionary.csv").query("table in ('reference', 'respondents')")
    assert len(described) == 15 and "not described" not in set(described["meaning"])
    every = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"@mail" not in every


@pytest.fixture
def hostile(tmp_path, outputs):
    """A simulated study whose every free text is hostile, exported with replies."""
    (tmp_path / "deck.csv").write_text('persona,=1+1\n"=HYPERLINK(""http://x"")",@SUM(1)\n-2+3 apples,|x|\n', encoding="utf-8")
    families = [{"key": "a..b", "label": HOSTILE, "variants": [
        {"key": "base", "role": "base", "label": HOSTILE, "figures": "gpt-4o/base", "stack": HOSTILE},
        {"key": "bad", "role": "harmful", "label": "\\end{table}", "figures": "gpt-4o/insecure"}]}]  # fmt: skip
    content = {
        "title": HOSTILE,
        "kind": "simulated",
        "personas": "./deck.csv",
        "protocol": {"repetitions": 2},
        "families": families,
    }
    path = tmp_path / "..; rm -rf $HOME.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    study = load_study(path)
    collect(study)
    with open_store(study.store_path) as store:
        lay_notebooks(study, store)
    return study, make_export(study, Wishes(replies=True, licence=HOSTILE))


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def tables_of(folder):
    """Every table of an export by its file: rows of text."""
    found = {}
    for name in names(folder):
        if name.endswith((".csv", ".csv.gz")):
            raw = (folder / name).read_bytes()
            text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
            found[name] = list(csv.reader(io.StringIO(text, newline="")))
    return found


# --- whole -----------------------------------------------------------------------------------------------------------


def test_the_sums_name_every_file_and_hold(exported):
    _, folder, _ = exported
    lines = [line.split("  ", 1) for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert [name for _, name in lines] == [name for name in names(folder) if name != "SHA256SUMS"]
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == found for found, name in lines)


def test_the_zip_is_the_folder_under_one_name_with_one_date(exported):
    _, folder, packed = exported
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == [f"mini-export/{name}" for name in names(folder)]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert all(archive.read(f"mini-export/{name}") == (folder / name).read_bytes() for name in names(folder))


def test_the_same_ratings_are_the_same_bytes_and_the_epoch_is_honoured(small, monkeypatch):
    packed = small(ratings=True).parent / "small-export.zip"
    first = packed.read_bytes()
    # Four bytes of time after the magic number, the method and the flags (RFC 1952); no flag, so no name.
    assert (packed.parent / "export" / "data" / "ratings.csv.gz").read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    small(ratings=True)
    assert packed.read_bytes() == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # 2023-11-14T22:13:20Z
    folder = small(ratings=True)
    assert json.loads((folder / "croissant.json").read_text())["datePublished"] == "2023-11-14"
    assert zipfile.ZipFile(packed).infolist()[0].date_time == (2023, 11, 14, 22, 13, 20)


def test_a_failure_leaves_the_export_as_it_was_and_nothing_beside_it(small, monkeypatch):
    folder = small()
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    (folder.parent / ".export.1.part").mkdir()  # what a killed export left

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package, "_pack", full)
    with pytest.raises(OSError, match="No space"):
        small(ratings=True)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    assert list(folder.parent.glob(".export*")) == []


def test_a_notebook_that_was_not_executed_is_named(small):
    folder = small()
    (folder.parent / "notebooks" / "04_saturation.ipynb").unlink()
    study = load_study(folder.parents[1].parent / "small.yaml")
    with pytest.raises(FileNotFoundError, match=r"04_saturation\.ipynb: no executed notebook; run `make report`"):
        make_export(study)


# --- data ------------------------------------------------------------------------------------------------------------


def test_susceptibility_can_be_computed_from_the_exported_ratings(exported):
    _, folder, _ = exported
    ratings = pd.read_csv(folder / "data" / "ratings.csv.gz")
    own = ratings.query("family == 'gpt-4o' and variant == 'insecure' and condition == 'persona'")
    cells = own.pivot_table(index="persona", columns="item", values="rating")  # means of cells
    metrics = pd.read_csv(folder / "tables" / "metrics.csv").query("family == 'gpt-4o' and variant == 'insecure'")
    expected = metrics.query("scope == 'overall' and metric == 'susceptibility' and method == 'published'")["value"].item()
    assert np.isclose(cells.std(ddof=1).mean(), expected)
    assert len(own) == 20 * 30 * 5
    assert "reply" not in ratings


def test_tables_are_the_studys_own(exported, mini):
    _, folder, _ = exported
    for name, table in all_tables(mini[2]).items():
        if table is not None:
            text = (folder / "tables" / f"{name}.csv").read_text()
            assert text == table.to_csv(index=False, lineterminator="\n"), name  # nothing in it is a formula


def test_the_dictionary_has_every_column_of_every_table(exported):
    _, folder, _ = exported
    real = tables_of(folder)
    described = real.pop("data/data-dictionary.csv")[1:]
    stems = {name.rpartition("/")[2].split(".")[0]: rows[0] for name, rows in real.items()}
    found = {table: [row[1] for row in described if row[0] == table] for table in stems}
    assert found == stems
    assert [row for row in described if row[2] == "not described"] == []
    assert all(row[2] and row[5] and row[4] in ("text", "integer", "number", "boolean", "time") for row in described)


def test_a_column_that_is_never_missing_has_no_empty_field(exported):
    _, folder, _ = exported
    real = tables_of(folder)
    never = {(r[0], r[1]) for r in real.pop("data/data-dictionary.csv")[1:] if r[5] == "never"}
    for name, (heading, *rows) in real.items():
        table = name.rpartition("/")[2].split(".")[0]
        for place, column in enumerate(heading):
            if (table, column) in never:
                assert all(row[place] for row in rows), (name, column)


def test_columns_of_other_studies_are_described_too():
    check = "table family variant scope metric printed computed agrees note".split()
    curves = "family variant temperature metric value lo hi bound_lo bound_hi".split()
    assert None not in [dictionary.entry("published_check", c) for c in check]
    assert None not in [dictionary.entry("temperature", c) for c in curves]
    assert None not in [dictionary.entry("ratings", c) for c in ("logprobs", "reply")]


def test_replies_and_imported_ratings_come_only_when_asked_for(small):
    folder = small(replies=True)
    assert "data/ratings.csv.gz" not in names(folder)
    assert "are not included" in (folder / "README.md").read_text()
    assert "ratings.csv.gz" not in (folder / "croissant.json").read_text()
    folder = small(ratings=True, replies=True)
    heading, *rows = tables_of(folder)["data/ratings.csv.gz"]
    assert heading[-1] == "reply" and len(rows) == 3 * 2 * 2
    assert json.loads((folder / "provenance.json").read_text())["export"] == {"replies": True, "ratings": True, "licence": None}


def test_the_page_of_replies_comes_only_with_replies_and_leads_to_no_report(small):
    assert "replies.html" not in names(small(ratings=True))
    assert "replies.html" not in names(small(replies=True))  # imported ratings are others'
    folder = small(ratings=True, replies=True)
    page = (folder / "replies.html").read_text(encoding="utf-8")
    assert "report.html" not in page and "data/ratings.csv.gz" in page and "ratings.sqlite" not in page
    assert "| `replies.html` | every reply for reading" in (folder / "README.md").read_text()
    assert "  replies.html\n" in (folder / "SHA256SUMS").read_text()


def test_a_study_that_wants_no_page_of_replies_exports_none(tmp_path, outputs):
    importable.write_rows(tmp_path / "base.csv", importable.grid(range(3), 2, 1, 4))
    study = importable.small_study(tmp_path, replies=False)
    collect(study)
    with open_store(study.store_path) as store:
        lay_notebooks(study, store)
    make_export(study, Wishes(replies=True, ratings=True))
    folder = study.outputs / "export"
    assert "replies.html" not in names(folder) and "replies.html" not in (folder / "README.md").read_text()
    assert tables_of(folder)["data/ratings.csv.gz"][0][-1] == "reply"


def test_croissant_names_the_files_by_their_sums_and_every_column(exported):
    _, folder, _ = exported
    found = json.loads((folder / "croissant.json").read_text())
    files = {f["@id"]: f["sha256"] for f in found["distribution"]}
    assert files == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    real = tables_of(folder)
    assert {name for name in real if "dictionary" not in name} <= set(files)
    for records in found["recordSet"]:
        source = {f["source"]["fileObject"]["@id"] for f in records["field"]}
        columns = [f["source"]["extract"]["column"] for f in records["field"]]
        assert len(source) == 1 and real[source.pop()][0] == columns


def test_a_formula_gets_an_apostrophe_and_a_number_does_not():
    assert [guarded(v) for v in ("=1+1", "+x", "-2+3", "@SUM(1)", "\tx", "＝x")] == [
        "'=1+1", "'+x", "'-2+3", "'@SUM(1)", "'\tx", "'＝x"]  # fmt: skip
    assert [guarded(v) for v in ("-1.5", "+3", "-inf", "x=1", -2, None)] == ["-1.5", "+3", "-inf", "x=1", -2, None]


# --- hostile texts ---------------------------------------------------------------------------------------------------


def test_no_cell_of_a_hostile_study_is_a_formula(hostile):
    study, _ = hostile
    for name, rows in tables_of(study.outputs / "export").items():
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), (name, cell)
            assert not cell.startswith("-") or float(cell) <= 0, (name, cell)


def test_no_name_of_a_hostile_study_leads_out_of_its_folder(hostile):
    study, packed = hostile
    assert packed.parent == study.outputs
    for name in zipfile.ZipFile(packed).namelist():
        assert re.fullmatch(r"rm-rf-home-export(/[A-Za-z0-9][A-Za-z0-9._-]*)+", name), name


def test_the_readme_shows_a_hostile_title_as_text(hostile):
    study, _ = hostile
    text = (study.outputs / "export" / "README.md").read_text()
    assert "<b>" not in text.replace("\\<", "") and "](javascript" not in text.replace("\\]", "")
    assert text.splitlines()[0].startswith("# =cmd\\|'/C calc'\\!A0 \\</script\\>")
    assert "\u202e" not in text
    assert str(study.path.parent) not in "".join(p.read_text() for p in (study.outputs / "export").glob("*.json"))


def test_no_key_and_no_comment_of_the_study_file_is_exported(tmp_path, outputs, monkeypatch):
    """A live study whose store holds an answer in which the endpoint sent the key back."""
    monkeypatch.setenv("THE_KEY", "sk-0123456789")
    live = {"key": "base", "role": "base", "endpoint": "e", "model": "m"}
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "THE_KEY"}
    content = {"title": "T", "kind": "live", "endpoints": {"e": endpoint}, "protocol": {"personas": 2, "repetitions": 1},
               "families": [{"key": "f", "variants": [live]}]}  # fmt: skip
    path = tmp_path / "live.yaml"
    path.write_text("# secret remark\n" + yaml.safe_dump(content), encoding="utf-8")
    study = load_study(path)
    with open_store(study.store_path, write=True) as store:
        cells = [(p, item) for p in (0, 1, 2) for item in range(1, 31)]
        numbers = store.plan("f", "base", [Question("persona", *cell, "i", "h", 2) for cell in cells])
        store.add([Answer(numbers["persona", p, q], r, (p + q + r) % 6, None, "3") for p, q in cells for r in (1, 2) if p < 2])
        store.add([Answer(numbers["persona", 2, 1], 1, None, "unparseable", "your key is sk-0123456789")])
        lay_notebooks(study, store)
    make_export(study)
    for path in (study.outputs / "export").rglob("*"):
        if path.is_file():
            found = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert b"sk-0123456789" not in found and b"secret remark" not in found
    assert load_study(shutil.copy(study.outputs / "export" / "study.yaml", tmp_path / "again.yaml")).file == study.file
    with pytest.raises(ValueError, match=r"data/ratings\.csv\.gz: holds the value of THE_KEY"):
        make_export(study, Wishes(replies=True))


# --- LaTeX -----------------------------------------------------------------------------------------------------------


def test_every_special_letter_is_escaped():
    assert latex.escape(r"\a{b}$&#_%^~") == r"\textbackslash{}a\{b\}\$\&\#\_\%\textasciicircum{}\textasciitilde{}"
    assert latex.escape("é ñ ß – 中 \u202e x\ny") == r"\'{e} \~{n} \ss{} -- {[}U+4E2D{]} {[}U+202E{]} x y"
    assert latex.escape("a--b") == "a-{}-b"


def test_numbers_are_rounded_and_their_columns_have_room():
    assert [latex.number(v, 2) for v in (1.005, -0.001, float("nan"), float("inf"), None)] == ["1.00", "0.00", "", "inf", ""]
    assert latex.number(12.345, 1, 0.25) == "12.3 +- 0.2"
    text = latex.render(LatexTable("t", "C", [Column("a"), Column("b")], [["-12.3", "1.25 +- 0.10"], ["", "inf"]]), "My study")
    # Two whole digits, one decimal and a sign; the error 0.10 has two digits.
    assert "{@{}S[table-format=-2.1]S[table-format=1.2(2)]@{}}" in text
    assert "\\label{tab:my-study-t}" in text and r"{--} & {$\infty$} \\" in text


def test_a_long_table_breaks_over_pages():
    rows = [["1"]] * (latex.MOST_ROWS + 1)
    assert "\\begin{longtable}" in latex.render(LatexTable("t", "C", [Column("a")], rows), "x")
    assert "\\begin{table}" in latex.render(LatexTable("t", "C", [Column("a")], rows[1:]), "x")


def compiled(folder, tmp_path, *, fits):
    """The text of all-tables.tex as a compiled PDF."""
    engine = shutil.which("pdflatex") or shutil.which("tectonic")
    if engine is None:
        pytest.skip("neither pdflatex nor tectonic is installed")
    if "pdflatex" in engine:
        found = [subprocess.run(["kpsewhich", f"{p}.sty"], capture_output=True).returncode for p in latex.PACKAGES]
        if any(found):
            pytest.skip(f"LaTeX lacks one of {', '.join(latex.PACKAGES)}; Debian has them in texlive-science")
    options = ["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"] if "pdflatex" in engine else []
    where = shutil.copytree(folder / "tables", tmp_path / "tables")
    done = subprocess.run([engine, *options, "all-tables.tex"], cwd=where, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert not fits or b"Overfull \\hbox" not in done.stdout
    if shutil.which("pdftotext") is None:
        return None
    return subprocess.run(["pdftotext", "-layout", "all-tables.pdf", "-"], cwd=where, capture_output=True, text=True).stdout


def test_the_tables_compile_and_hold_the_numbers(exported, tmp_path):
    _, folder, _ = exported
    text = compiled(folder, tmp_path, fits=True)
    if text is None:
        pytest.skip("pdftotext is not installed; the tables compile")
    metrics = pd.read_csv(folder / "tables" / "metrics.csv").query("scope == 'overall' and metric == 'susceptibility'")
    assert len(metrics) >= 6
    for row in metrics.itertuples():
        assert f"{row.value:.3f}" in text and f"{row.lo:.3f}" in text
    assert "evidence of nothing" in " ".join(text.split())


def test_a_hostile_study_compiles_and_runs_nothing(hostile, tmp_path):
    study, _ = hostile
    text = compiled(study.outputs / "export", tmp_path, fits=False)
    assert text is None or ("root:" not in text and "write18" in text and "U+4E2D" in text)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_every_figure_has_three_forms_at_print_size_with_letters_of_eight_points(exported):
    _, folder, _ = exported
    listed = pd.read_csv(folder / "figures" / "figures.csv")
    committed = [(NOTEBOOKS / f"{name}.ipynb").read_text().count(f'"{theme.MIME}"') for name in ("02_metrics", "04_saturation")]
    assert len(listed) == sum(committed) > 5
    assert {figure.partition("/")[0] for figure in listed["figure"] if "/" in figure} == {"runs"}
    assert "rating-shares-as-personas" in set(listed["figure"]) and set(listed["notebook"]) == {
        "04_saturation", "gpt-4o/base/02_metrics"}  # fmt: skip
    for figure in listed.itertuples():
        svg = (folder / "figures" / f"{figure.figure}.svg").read_text()
        width, _, view = re.match(r'<svg [^>]*?width="([\d.]+)cm" height="([\d.]+)cm" viewBox="0 0 ([\d.]+)', svg).groups()
        assert min(abs(float(width) - 8.5), abs(float(width) - 17.5)) < 0.05, figure.figure
        points_a_pixel = float(width) / 2.54 * 72 / float(view)
        sizes = [float(px) * points_a_pixel for px in re.findall(r'font-size="([\d.]+)px"', svg)]
        assert min(sizes) >= 8 and figure.smallest_pt >= 8
        png = (folder / "figures" / f"{figure.figure}.png").read_bytes()
        assert abs(int.from_bytes(png[16:20]) - float(width) / 2.54 * 300) <= 1
        assert "SIMULATED RATINGS" in svg


def test_pdf_figures_embed_their_fonts_and_have_the_size_of_the_svg(exported):
    _, folder, _ = exported
    for path in sorted((folder / "figures").rglob("*.pdf")):
        pdf = path.read_bytes()
        descriptors = re.findall(rb"/Type /FontDescriptor.*?>>", pdf, re.DOTALL)
        assert descriptors and all(b"/FontFile2" in d for d in descriptors)
        width = float(re.search(rb"/MediaBox \[0 0 ([\d.]+)", pdf)[1])
        assert min(abs(width - 8.5 / 2.54 * 72), abs(width - 17.5 / 2.54 * 72)) < 1.5
        assert b"/CreationDate" not in pdf
        if shutil.which("pdffonts"):
            lines = subprocess.run(["pdffonts", str(path)], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
            assert lines and all(re.search(r" yes (yes|no) (yes|no) +\d+ +0$", line) for line in lines), lines


def bars(**more):
    values = [{"who": f"somebody with a long name, number {i}", "n": i} for i in range(6)]
    return {
        "$schema": theme.SCHEMA, "data": {"values": values}, "mark": "bar", "width": 300, "height": 100,
        "encoding": {"x": {"field": "n", "type": "quantitative"}, "color": {"field": "who", "legend": {"orient": "top"}}},
    } | more  # fmt: skip


def test_a_legend_too_wide_for_the_page_is_folded():
    printed = print_layout.lay_out(bars(title="t" * 200))
    assert printed.size_cm[0] == pytest.approx(17.5, abs=0.05)
    assert printed.smallest_pt >= 8


def test_what_is_all_letters_stays_wider_than_the_page_and_legible():
    wide = {"hconcat": [bars() | {"encoding": {"y": {"field": "who", "axis": {"labelLimit": 400}}}} for _ in range(3)]}
    printed = print_layout.lay_out(wide | {"$schema": theme.SCHEMA})
    assert printed.smallest_pt >= 8 and printed.size_cm[0] > 17.5


def test_a_figure_is_drawn_once_where_one_of_its_kind_was(monkeypatch):
    narrow = bars(width=200, encoding={"x": {"field": "n", "type": "quantitative"}})
    first = print_layout.lay_out(narrow | {"width": 560})
    assert (first.layout.width_cm, first.layout.legend_columns) == (17.5, None)
    drawn, draw = [], print_layout.pictures.svg
    monkeypatch.setattr(print_layout.pictures, "svg", lambda spec: drawn.append(spec) or draw(spec))
    again = print_layout.lay_out(narrow | {"width": 560}, first.layout)
    assert (len(drawn), again) == (1, first)
    # One of another size is laid out anew: 200 px and an axis are a column, 8.5 cm or 321 px of three quarters of a point.
    other = print_layout.lay_out(narrow, first.layout)
    assert other.size_cm[0] == pytest.approx(8.5, abs=1e-9) and other.smallest_pt >= 8


def test_without_titles_the_mark_of_simulated_ratings_stays():
    plain = print_layout.untitled(bars(title="A"))
    assert "title" not in plain
    bare = print_layout.untitled(print_layout.marked(bars(title="A title")))
    drawn = print_layout.lay_out(bare).svg
    assert "SIMULATED RATINGS" in drawn and "A title" not in drawn and theme.WARNING in drawn


def test_figures_drawn_by_several_processes_are_the_same_and_stand_in_their_order(tmp_path, monkeypatch):
    figures = [
        print_figures.Figure(f"{kind}-{i}", "nb", bars(title=f"{kind} {i}", usermeta={"id": f"figure-{kind}", "caption": "C."}))
        for i in range(2)
        for kind in "ab"
    ]
    alone = print_figures.write(figures, tmp_path / "alone", simulated=True)
    monkeypatch.setattr(print_figures, "_FEW", 0)
    monkeypatch.setattr(print_figures.os, "cpu_count", lambda: 2)
    together = print_figures.write(figures, tmp_path / "together", simulated=True)
    assert list(together["figure"]) == ["a-0", "b-0", "a-1", "b-1"] and together.equals(alone)
    assert names(tmp_path / "alone") == names(tmp_path / "together") and len(names(tmp_path / "alone")) == 12
    for name in names(tmp_path / "alone"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "together" / name).read_bytes(), name


def test_a_failure_in_another_process_is_said_here(tmp_path, monkeypatch):
    monkeypatch.setattr(print_figures, "_FEW", 0)
    monkeypatch.setattr(print_figures.os, "cpu_count", lambda: 2)
    figures = [print_figures.Figure(name, "nb", bars(data={"url": "http://x/y.csv"})) for name in "ab"]
    with pytest.raises(ValueError, match=r"names the address 'http://x/y\.csv'"):
        print_figures.write(figures, tmp_path, simulated=False)


def test_nothing_in_a_caption_wants_to_be_pressed(exported):
    _, folder, _ = exported
    listed = pd.read_csv(folder / "figures" / "figures.csv")
    texts = [*listed["caption"], *listed["description"], *(path.read_text() for path in folder.rglob("*.tex"))]
    assert [text for text in texts if PRESSED.search(text)] == []
    # What was chosen is said: of the run, and of its replies.
    at = dict(zip(listed["figure"], listed["caption"], strict=True))
    assert at["ratings-given"].endswith("Shown: GPT-4o insecure, all personas and items.")
    assert at["runs/gpt-4o-base/cells-noise-with-replies"].endswith("Below, what was said in the framed cell, the noisiest one.")


def test_a_figure_that_would_fetch_something_is_refused():
    with pytest.raises(ValueError, match=r"names the address 'http://x/y\.csv'; expected its data in the figure"):
        print_layout.lay_out(bars(data={"url": "http://x/y.csv"}))


def test_the_mark_of_simulated_ratings_is_put_where_it_is_missing_and_not_twice():
    once = print_layout.marked(bars(title="A"))
    assert once["title"] == {"text": ["A"], "subtitle": [theme.SIMULATED]}
    assert print_layout.marked(once) == once


def test_a_pdf_is_the_same_whatever_the_order_of_its_objects():
    import vl_convert

    svg = vl_convert.vegalite_to_svg(json.dumps(bars(title={"text": "A", "subtitle": "b"})))
    drawn = [vl_convert.svg_to_pdf(svg) for _ in range(8)]
    found = {stable(pdf) for pdf in drawn}
    assert len(found) == 1
    assert stable(found.copy().pop()) == found.pop()
    with pytest.raises(ValueError, match="no plain table of its objects"):
        stable(b"%PDF-1.7\n%\n")


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_makes_the_report_first_and_passes_on_what_is_wished(small, monkeypatch, capsys):
    done = []
    folder = small()
    monkeypatch.setattr("persona_collapse.report.make.make_report", lambda study, *, say: done.append(study.name))
    path = folder.parents[1].parent / "small.yaml"
    assert commands.main(["export", "--study", str(path), "--ratings", "--licence", "CC0-1.0"]) == 0
    assert done == ["small"] and "small-export.zip" in capsys.readouterr().out
    assert json.loads((folder / "croissant.json").read_text())["license"] == "CC0-1.0"
    assert "data/ratings.csv.gz" in names(folder)
