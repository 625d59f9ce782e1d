"""`make tables`: every table of a study without a notebook, and none that is up to date made again."""

import subprocess
import sys

import pytest

from importable import grid, small_study, write_rows
from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.report import make_tables
from persona_collapse.report.make_tables import make_tables as make
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables, write


@pytest.fixture(autouse=True)
def redirected(outputs):
    """No test writes into the checkout."""


def files(study):
    return {path.name: path.read_bytes() for path in (study.outputs / "tables").glob("*.csv")}


def imported(tmp_path):
    write_rows(tmp_path / "base.csv", grid([0, 1, 2], 30, 3, 4))
    write_rows(tmp_path / "bad.csv", [row for persona in (0, 1, 2) for row in grid([persona], 30, persona, 2 * persona)])
    variants = [
        {"key": "base", "role": "base", "persona": "base.csv"},
        {"key": "bad", "role": "harmful", "persona": "bad.csv"},
    ]
    return small_study(tmp_path, variants=variants, instrument="mfq30")


@pytest.mark.parametrize("kind", ["simulated", "imported"])
def test_the_tables_are_those_of_a_report(tmp_path, kind):
    study = load_study("mini") if kind == "simulated" else imported(tmp_path)
    assert make(study).endswith(" tables written")
    found = files(study)
    with open_store(study.store_path) as store:
        write(study, all_tables(Tables(read_ratings(study, store))))
    assert files(study) == found and {"metrics.csv", "contrasts.csv", "verdict.csv", "headlines.csv"} <= found.keys()


def test_an_import_goes_into_the_numbers_without_a_detour_through_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr(make_tables, "read_ratings", None)
    study = imported(tmp_path)
    said = []
    make(study, ["metrics"], say=said.append)
    assert said == ["f/base: persona: base.csv, 180 rows", "f/bad: persona: bad.csv, 180 rows"]
    assert study.store_path.is_file()


@pytest.mark.parametrize("kind", ["simulated", "imported"])
def test_what_is_up_to_date_is_not_made_again(tmp_path, monkeypatch, kind):
    study = load_study("mini") if kind == "simulated" else imported(tmp_path)
    make(study)
    with monkeypatch.context() as patch:
        patch.setattr(make_tables, "all_tables", None)
        assert make(study) == "nothing to do" == make(study, ["metrics", "drift"])
    # A table that is gone, or that somebody wrote into, is made again.
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("mine")):
        before = files(study)
        damage(study.outputs / "tables" / "metrics.csv")
        assert make(study) != "nothing to do" and files(study) == before


def test_tables_that_were_made_from_something_else_are_made_again(tmp_path, monkeypatch):
    study = imported(tmp_path)
    make(study)
    before = files(study)
    write_rows(tmp_path / "bad.csv", grid([0, 1, 2], 30, 1, 5, 5))
    assert make(study) != "nothing to do"
    assert files(study)["metrics.csv"] != before["metrics.csv"]
    monkeypatch.setattr(make_tables, "code_digest", lambda: "another library")
    assert make(study) != "nothing to do"
    assert make(study) == "nothing to do"


def test_only_some_tables(tmp_path):
    study = imported(tmp_path)
    assert make(study, ["contrasts", "metrics"]) == "2 tables written"
    assert files(study).keys() == {"metrics.csv", "contrasts.csv"}
    assert make(study, ["metrics"]) == "nothing to do"
    assert make(study, ["quality"]) == "1 table written"
    assert make(study) != "nothing to do"  # the others
    assert make(study) == "nothing to do"


def test_a_table_that_the_study_has_nothing_for(tmp_path):
    study = imported(tmp_path)
    assert make(study, ["temperature"]) == "0 tables written"
    assert make(study, ["temperature"]) == "nothing to do"


@pytest.mark.parametrize("only", ["metrcs", "analysis"])
def test_a_name_of_no_table_is_refused_before_anything_is_read(tmp_path, only, outputs):
    study = imported(tmp_path)
    with pytest.raises(ValueError, match=f"^only: no table '{only}'; "):
        make(study, [only])
    assert not outputs.exists()


def test_a_damaged_note_makes_the_tables_again(tmp_path):
    study = imported(tmp_path)
    make(study, ["metrics"])
    for damage in ("", "{}", "[1]", '{"made_from": 1, "other": 2}', '{"tables": 3}'):
        (study.outputs / "tables" / ".made").write_text(damage)
        assert make(study, ["metrics"]) == "1 table written", damage


def test_the_command_says_where_they_are(tmp_path, capsys):
    study = imported(tmp_path)
    arguments = ["tables", "--study", str(study.path), "--only", "metrics, contrasts"]
    assert [commands.main(arguments), commands.main(arguments)] == [0, 0]
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{study.outputs}/tables/ (2 tables written, ") and second.startswith(
        f"{study.outputs}/tables/ (nothing"
    )
    assert commands.main([*arguments[:-1], "metrcs"]) == 1
    assert capsys.readouterr().err == "error: only: no table 'metrcs'; did you mean 'metrics'?\n"


def test_a_report_afterwards_asks_and_reads_nothing(tmp_path):
    study = load_study("mini")
    make(study)
    assert collect(study) == 0


def test_metrics_and_contrasts_wait_for_no_library_that_they_do_not_need(tmp_path, outputs):
    """scipy.stats takes a second to import, pandas a third of one; what is up to date needs neither."""
    study = imported(tmp_path)
    code = (
        "import sys; from pathlib import Path; from persona_collapse import paths; paths.OUTPUTS = Path(sys.argv.pop(1));"
        "from persona_collapse.__main__ import main; main(sys.argv[1:]);"
        "print(sorted({'pandas', 'scipy.stats', 'altair', 'openai'} & set(sys.modules)))"
    )
    arguments = [sys.executable, "-c", code, str(outputs), "tables", f"--study={study.path}", "--only=metrics,contrasts"]
    said = [subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()[-1] for _ in range(2)]
    assert said == ["['pandas']", "[]"]
