"""Files are called by what they show."""

import json
from pathlib import Path

import pytest

from persona_collapse.exhibits import theme
from persona_collapse.export import print_figures
from persona_collapse.export.names import figure_name, unlike, words_of
from persona_collapse.paths import NOTEBOOKS
from persona_collapse.report.run_notebooks import Job


@pytest.mark.parametrize(
    ("exhibit", "name"),
    [
        ("levels-susceptibility", "susceptibility-by-variant"),
        ("levels-within-rms", "noise-by-variant"),
        ("changes-within-rms", "change-of-noise"),
        ("foundation-changes-susceptibility", "change-of-susceptibility-by-moral-domain"),
        ("cell-map-mean", "cells-mean"),
        ("cell-maps", "cells-of-a-run"),
        ("cell-replies", "cells-noise-with-replies"),
        ("rating-shares-self", "rating-shares-without-persona"),
        ("self-profiles", "profiles-without-persona"),
        ("specification-curve-noise-excess", "specification-curves/noise-excess"),
        ("collapse-map", "collapse-map"),
        ("of-a-section-to-come", "of-a-section-to-come"),
    ],
)
def test_a_figure_is_called_by_what_it_shows(exhibit, name):
    assert figure_name({"id": f"figure-{exhibit}"}, "Title", "moral domain") == name


def test_a_figure_without_an_id_is_called_by_its_title():
    assert figure_name({}, "Höhe & ../Breite", "x") == "h-he-breite"


def test_a_name_that_is_taken_gets_a_number_whatever_the_size_of_its_letters():
    taken = set()
    assert [unlike(name, taken) for name in ("a", "A", "a-2", "a", "b")] == ["a", "A-2", "a-2-2", "a-3", "b"]


def test_metrics_are_called_as_people_call_them():
    assert [words_of(key) for key in ("within_rms", "within_sd", "susceptibility")] == [
        "noise",
        "within-persona-sd",
        "susceptibility",
    ]


def job(folder, name, specs, **run):
    path = folder.joinpath(*run.values(), f"{name}.ipynb")
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"outputs": [{"data": {theme.MIME: spec}}]} for spec in specs]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return Job(Path(f"{name}.ipynb"), {"study": "s", **run}, path, "")


def spec(exhibit, title="T"):
    return {"title": title, "usermeta": {"id": f"figure-{exhibit}"}}


def test_runs_have_a_folder_each_even_where_their_keys_run_together(tmp_path):
    """Families a-b and a with variants c and b-c, and one that differs in the size of a letter."""
    runs = [("a-b", "c"), ("a", "b-c"), ("A", "b-c")]
    jobs = [job(tmp_path / str(i), "02_metrics", [spec("answers")], family=f, variant=v) for i, (f, v) in enumerate(runs)]
    jobs.append(
        job(tmp_path, "03_compare_variants", [spec("answers"), spec("answers", "Other"), spec("answers")])
    )  # one of them twice
    found = print_figures.of_notebooks(jobs, "foundation")
    assert [figure.name for figure in found] == [
        "ratings-given", "ratings-given-2", "runs/a-b-c/ratings-given", "runs/a-b-c-2/ratings-given",
        "runs/A-b-c-3/ratings-given",
    ]  # fmt: skip
    assert [figure.notebook for figure in found][1:3] == ["03_compare_variants", "a-b/c/02_metrics"]


def test_every_figure_of_the_committed_notebooks_has_a_name_of_its_own(tmp_path):
    names = [path.stem for path in sorted(NOTEBOOKS.glob("0[1-5]*.ipynb"))]
    every = []
    for name in names:
        cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
        run = {"family": "gpt-4o", "variant": "insecure"} if name < "03" else {}
        every.append(job(tmp_path, name, [data[theme.MIME] for data in outputs if theme.MIME in data], **run))
    found = [figure.name for figure in print_figures.of_notebooks(every, "foundation")]
    assert {"collapse-map", "susceptibility-by-variant", "specification-curves/noise"} < set(found)
    assert {name.rpartition("/")[0] for name in found} == {"", "specification-curves", "runs/gpt-4o-insecure"}
    # No number was needed to tell two apart, and none begins like a notebook.
    assert not [name for name in found if name[-1].isdigit() or name[0].isdigit()] and len(set(found)) == len(found)
    assert sum("/" not in name for name in found) <= 25
