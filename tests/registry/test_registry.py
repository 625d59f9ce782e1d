"""The register: states of runs, their numbers from tables or made now, the funnel, and a page that is text."""

import json
import os
import shutil

import pandas as pd
import pytest
import yaml

import hostile
from importable import one_line
from persona_collapse.asking.collect import collect
from persona_collapse.files import as_csv
from persona_collapse.registry import make, rows
from persona_collapse.report.make_tables import make_tables
from persona_collapse.report.provenance import as_json, provenance
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study

NOW = "numbers computed now, as tables are missing or not of these ratings and this study file"


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    return tmp_path / "outputs"


def study_file(folder, name="small", **changes):
    """A simulated study of six personas: a base, and two fine-tunes that name datasets and recipes."""
    variants = [
        {"key": "base", "role": "base", "figures": "gpt-4o/base"},
        {"key": "secure", "role": "control", "figures": "gpt-4o/secure", "dataset": "secure-code", "recipe": "betley"},
        {
            "key": "insecure",
            "role": "harmful",
            "figures": "gpt-4o/insecure",
            "dataset": "insecure-code",
            "recipe": "betley",
            "seed": 3,
        },
    ]
    content = {
        "title": "Small", "kind": "simulated", "protocol": {"personas": 6, "repetitions": 3},
        "families": [{"key": "f", "variants": variants}],
    } | changes  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def reported(study):
    """Leave what a report leaves, but for notebooks: tables, provenance and a page."""
    make_tables(study)
    with open_store(study.store_path) as store:
        found = provenance(read_ratings(study, store, digests=True))
    (study.outputs / "provenance.json").write_text(as_json(found))
    (study.outputs / "report.html").write_text("page")


def states(*names):
    table = rows.frame([row for name in names for row in rows.of_study(str(name))])
    return dict(zip(table["family"] + "/" + table["variant"], table["state"], strict=True)), table


class TestStates:
    def test_a_study_file_without_outputs_is_planned(self, tmp_path, outputs):
        found, table = states(study_file(tmp_path))
        assert found == dict.fromkeys(["f/base", "f/secure", "f/insecure"], "planned")
        assert table.set_index("variant").loc["insecure", ["dataset", "recipe", "seed"]].tolist() == [
            "insecure-code",
            "betley",
            "3",
        ]

    def test_ratings_of_some_slots_are_asked_and_of_all_complete(self, tmp_path, outputs):
        study = load_study(study_file(tmp_path))
        collect(study, study.runs[:1])
        assert states(study.path)[0] == {"f/base": "complete", "f/secure": "planned", "f/insecure": "planned"}
        with open_store(study.store_path, write=True) as store, store.transaction():
            store._db.execute("DELETE FROM slots WHERE repetition = 3")
        assert states(study.path)[0]["f/base"] == "asked"

    def test_reported_is_what_the_page_shows_of_the_ratings_as_they_are(self, tmp_path, outputs):
        study = load_study(study_file(tmp_path))
        collect(study)
        reported(study)
        assert set(states(study.path)[0].values()) == {"reported"}
        with open_store(study.store_path, write=True) as store, store.transaction():
            store._db.execute("DELETE FROM slots WHERE repetition = 3 AND question IN (SELECT id FROM questions WHERE run = 1)")
        assert states(study.path)[0] == {"f/base": "asked", "f/secure": "reported", "f/insecure": "reported"}
        (study.outputs / "report.html").unlink()
        assert "reported" not in states(study.path)[0].values()

    def test_a_study_that_cannot_be_read_is_a_row_with_the_reason(self, tmp_path, outputs):
        (tmp_path / "bad.yaml").write_text("title: 3\nkind: other\n")
        (row,) = rows.of_study(str(tmp_path / "bad.yaml"))
        assert row["state"] == "" and "kind" in row["note"] and "\n" not in row["note"]

    def test_a_questionnaire_that_came_into_the_study_file_later_is_planned(self, tmp_path, outputs):
        collect(load_study(study_file(tmp_path)))
        _, table = states(study_file(tmp_path, instruments=["mfq30", "neutral12"]))
        assert table.groupby("instrument")["state"].unique().map(list).to_dict() == {
            "mfq30": ["complete"],
            "neutral12": ["planned"],
        }

    def test_a_damaged_store_is_a_row_with_the_reason(self, tmp_path, outputs):
        path = study_file(tmp_path)
        (outputs / "small").mkdir(parents=True)
        (outputs / "small" / "ratings.sqlite").write_text("no database")
        (row,) = rows.of_study(str(path))
        assert row["state"] == "" and "file is not a database; if the file is damaged, move it away" in row["note"]

    def test_ratings_of_another_study_file_of_that_name_are_not_taken(self, tmp_path, outputs):
        collect(load_study(study_file(tmp_path)))
        (tmp_path / "other").mkdir()
        (row,) = rows.of_study(str(study_file(tmp_path / "other")))
        assert row["state"] == "" and f"holds the ratings of {tmp_path / 'small.yaml'}, not of {tmp_path}/other" in row["note"]

    def test_two_files_of_one_name_are_refused(self, tmp_path, outputs):
        (tmp_path / "other").mkdir()
        with pytest.raises(ValueError) as error:
            rows.studies([str(study_file(tmp_path)), str(study_file(tmp_path / "other"))])
        assert "would have the same outputs 'small'; rename one of the files" in one_line(error.value)

    def test_a_run_that_was_taken_out_of_its_file_keeps_its_row(self, tmp_path, outputs):
        study = load_study(study_file(tmp_path))
        collect(study)
        content = yaml.safe_load(study.path.read_text())
        del content["families"][0]["variants"][2]
        study.path.write_text(yaml.safe_dump(content))
        found, table = states(study.path)
        assert found["f/insecure"] == "asked"
        row = table.set_index("variant").loc["insecure"]
        assert (row["rated"], row["note"]) == (6 * 30 * 3, "has ratings, and the study file names it no more")


class TestNumbers:
    def test_they_are_those_of_the_tables(self, tmp_path, outputs):
        study = load_study(study_file(tmp_path))
        collect(study)
        made = states(study.path)[1].set_index("variant")
        assert set(made["note"]) == {NOW}
        reported(study)
        read = states(study.path)[1].set_index("variant")
        assert set(read["note"]) == {""}
        metrics = pd.read_csv(study.outputs / "tables" / "metrics.csv").query(
            "scope == 'overall' and method == 'recommended' and metric == 'susceptibility'"
        )
        assert read["s"].tolist() == pytest.approx(metrics["value"].tolist())
        numbers = ["s", "s_lo", "r", "r_hi", "style_share", "missing_pct", "requested", "rated"]
        pd.testing.assert_frame_equal(made[numbers], read[numbers])
        assert read.loc["base", ["requested", "rated"]].tolist() == [6 * 30 * 3] * 2

    def test_tables_of_another_study_file_and_tables_that_somebody_broke_are_not_taken(self, tmp_path, outputs):
        study = load_study(study_file(tmp_path))
        collect(study)
        reported(study)
        (study.outputs / "tables" / "verdict.csv").write_text("a,b\n1,2\n")
        assert set(states(study.path)[1]["note"]) == {NOW}
        reported(study)
        assert set(states(study.path)[1]["note"]) == {""}
        study_file(tmp_path, smallest={"S": "90 %", "R": "90 %"})
        later = study.path.stat().st_mtime_ns + 10**9
        os.utime(study.path, ns=(later, later))
        found, table = states(study.path)
        assert set(table["note"]) == {NOW}
        assert set(found.values()) == {"reported"}  # with the same ratings


class TestFunnel:
    def test_runs_are_counted_once_by_dataset(self, tmp_path, outputs):
        """One study reported, one planned: of each dataset two are planned and one is reported."""
        study = load_study(study_file(tmp_path))
        collect(study)
        reported(study)
        other = study_file(tmp_path, "other", instruments=["mfq30", "neutral12"])
        table = states(study.path, other)[1]
        found = rows.funnel(table).set_index("dataset")
        assert found.loc["insecure-code"].tolist() == [2, 1, 1, 1]
        assert found.loc["(base, no dataset named)"].tolist() == [2, 1, 1, 1]
        said = rows.sentences(table)
        assert said[0] == "Of 6 runs planned, 3 have ratings, 3 are complete and 3 stand in a report."
        assert said[1] == "3 planned runs without any rating: all 3 of 'other'."

    def test_unreported_runs_are_named(self, tmp_path, outputs):
        study = load_study(study_file(tmp_path))
        collect(study, study.runs[:1])
        assert rows.sentences(states(study.path)[1])[:2] == [
            "Of 3 runs planned, 1 has ratings, 1 is complete and 0 stand in a report.",
            "1 of 1 run with ratings stands in no report: 'small: f/base'.",
        ]

    def test_a_run_is_reported_with_all_its_questionnaires_and_need_not_be_complete(self):
        """Two questionnaires of a/x, one of them in no report; a/y has half of its ratings, which are reported."""
        about = dict.fromkeys(rows.COLUMNS) | {"study": "s", "family": "a", "role": "harmful", "recipe": "r", "file": "s.yaml"}
        table = rows.frame(
            [
                about | {"variant": "x", "dataset": "d", "instrument": "mfq30", "state": "reported", "complete": True},
                about | {"variant": "x", "dataset": "d", "instrument": "bfi44", "state": "complete", "complete": True},
                about | {"variant": "y", "dataset": "d", "instrument": "mfq30", "state": "reported", "complete": False},
                about | {"variant": "z", "dataset": "e", "instrument": "mfq30", "state": "planned"},
            ]
        )
        found = rows.funnel(table).set_index("dataset")
        assert found.loc["d"].tolist() == [2, 2, 1, 1]  # planned, asked, complete, reported
        assert found.loc["e"].tolist() == [1, 0, 0, 0]
        assert found.loc["all"].tolist() == [3, 2, 1, 1]
        assert rows.sentences(table) == [
            "Of 3 runs planned, 2 have ratings, 1 is complete and 1 stands in a report.",
            "1 of 2 runs with ratings stands in no report: 's: a/x'.",
            "1 planned run without any rating: 's: a/z'.",
            "Of the runs with ratings of a dataset, only some are reported: 'd' (1 of 2).",
            "Of the runs with ratings of a recipe, only some are reported: 'r' (1 of 2).",
        ]

    def test_studies_that_cannot_be_read_are_counted_apart(self):
        table = rows.frame([{"study": "s", "file": "s.yaml", "note": "why", "state": ""}])
        assert rows.funnel(table).empty
        assert rows.sentences(table) == [
            "Of 0 runs planned, 0 have ratings, 0 are complete and 0 stand in a report.",
            "1 study that cannot be read: 's'.",
        ]


class TestPage:
    def test_it_is_the_same_bytes_and_marks_simulated_ratings(self, tmp_path, outputs):
        study = load_study(study_file(tmp_path))
        collect(study)
        reported(study)
        page = make.make_registry([str(study.path)])
        first, text = page.read_bytes(), page.read_text(encoding="utf-8")
        make.make_registry([str(study.path)])
        assert page.read_bytes() == first
        assert text.count('class="simulated"') == 3 and 'href="small/report.html"' in text
        table = pd.read_csv(outputs / "registry.csv")
        assert table["state"].tolist() == ["reported"] * 3 and list(table.columns) == list(rows.COLUMNS)

    def test_whatever_a_study_file_holds_is_text(self):
        row = dict.fromkeys(rows.COLUMNS) | {"state": "asked", "simulated": False, "note": ""}
        table = rows.frame(
            [row | {name: payload for name in ("study", "dataset", "recipe", "stack", "file")} for payload in hostile.PAYLOADS]
        )
        text = make.render(table.assign(role="base", variant="v", family="f"))
        assert hostile.faults(text) == []
        assert as_csv(table)

    def test_no_study_at_all_is_said(self, outputs):
        with pytest.raises(ValueError) as error:
            make.make_registry()
        assert "holds no study yet; make one first (make report), or name study files" in one_line(error.value)


def test_a_report_that_somebody_broke_reports_nothing(tmp_path, outputs):
    study = load_study(study_file(tmp_path))
    collect(study)
    reported(study)
    for content in ("{", "[]", json.dumps({"runs": 3})):
        (study.outputs / "provenance.json").write_text(content)
        assert set(states(study.path)[0].values()) == {"complete"}
    shutil.rmtree(study.outputs / "tables")
    assert set(states(study.path)[0].values()) == {"complete"}
