"""Logs of inspect_ai: read by its own frames, with persona and item from metadata or from the id of a sample."""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from importable import one_line, small_study
from persona_collapse.asking.collect import collect, import_report
from persona_collapse.asking.study_from import study_from
from persona_collapse.input_errors import read_yaml
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store

#: (persona, item, epoch, score): one sample without a score.
SAMPLES = [("ada", 1, 1, 3.0), ("ada", 2, 1, 0.0), ("bo", 1, 1, 5.0), ("bo", 2, 1, np.nan)]
EVAL = [{"key": "base", "role": "base", "persona": "base.eval"}]


@pytest.fixture(autouse=True)
def redirected(outputs):
    """No test writes into the checkout."""


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log base.eval that a stand-in of inspect_ai reads as the given frame, as its version 0.3.285 does."""

    def holding(**columns):
        people, items, epochs, scores = zip(*SAMPLES, strict=True)
        frame = pd.DataFrame(
            {"sample_id": list("wxyz"), "model": "org/base", "epoch": epochs, "error": "", "score_scale": scores}
        )
        known = {"id": [f"s{n}" for n in range(4)], "metadata_persona": people, "metadata_item": items}
        frame = frame.assign(**{name: value for name, value in (known | columns).items() if value is not None})
        found = ModuleType("inspect_ai.analysis")
        found.EvalModel, found.SampleSummary, found.samples_df = ["model"], ["sample"], lambda logs, columns, quiet: frame
        monkeypatch.setitem(sys.modules, "inspect_ai", ModuleType("inspect_ai"))
        monkeypatch.setitem(sys.modules, "inspect_ai.analysis", found)
        (tmp_path / "base.eval").write_bytes(b"PK")
        return frame

    return holding


def read(tmp_path, **study):
    """Ratings as (persona, item, category), missing ones by reason, and how the log was read."""
    found = small_study(tmp_path, EVAL, **study)
    collect(found)
    with open_store(found.store_path) as store:
        counts = read_ratings(found, store).counts(found.runs[0])
        reasons = store.quality("f", "base", "persona", found.instrument.key)["reasons"]
    return np.argwhere(counts).tolist(), reasons, import_report(found)[0].partition(" rows; ")[2]


COUNTS = [[0, 0, 3], [0, 1, 0], [1, 0, 5]]


def test_persona_and_item_come_from_metadata(tmp_path, log):
    log()
    assert read(tmp_path) == (
        COUNTS, {"invalid": 1}, "a log of inspect_ai, rated by its scale; columns epoch = repetition, score = rating"
    )  # fmt: skip


@pytest.mark.parametrize("written", ["{}-q{}", "{}/{}", "{}_item_{}", "{} {}", "my {}|Q{}"])
def test_or_from_the_id_of_a_sample(tmp_path, log, written):
    log(id=[written.format(p, q) for p, q, *_ in SAMPLES], metadata_persona=None, metadata_item=None)
    counts, _, said = read(tmp_path)
    assert counts == COUNTS and "persona and item from the id of a sample" in said


def test_an_id_that_says_neither_is_asked_about(tmp_path, log):
    log(metadata_persona=None, metadata_item=None, id=["ada", "ada2", "bo", "bo2"])
    with pytest.raises(
        ValueError, match=r"base\.eval: no columns 'persona_id', 'question_id' \(it has model, epoch, score, reason\)"
    ):
        collect(small_study(tmp_path, EVAL))


def test_a_sample_that_ended_in_an_error_is_lost_in_transport(tmp_path, log):
    log(error=["", "", "timed out, but scored", "connection lost"])
    assert read(tmp_path)[:2] == (COUNTS, {"transport": 1})


def test_of_several_scores_the_study_file_names_one(tmp_path, log):
    log(score_other=["C", "I", "C", "I"])
    with pytest.raises(ValueError) as caught:
        collect(small_study(tmp_path, EVAL))
    found = one_line(caught.value)
    assert "no column 'rating' (it has " in found and "score_scale" in found and "score_other" in found
    assert read(tmp_path, columns={"rating": "score_scale"})[0] == COUNTS


def test_without_inspect_ai_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.analysis", None)
    (tmp_path / "base.eval").write_bytes(b"PK")
    with pytest.raises(ValueError) as caught:
        collect(small_study(tmp_path, EVAL))
    assert one_line(caught.value) == (
        f"{tmp_path}/base.eval: logs of inspect_ai are read by inspect_ai, which is not installed here; run "
        "`.venv/bin/python -m pip install inspect_ai`, or save the frame of its samples_df as CSV"
    )


def test_what_inspect_ai_cannot_read_is_named(tmp_path, log):
    log()

    def fail(*given, **options):
        raise KeyError("header.json\nis missing")

    sys.modules["inspect_ai.analysis"].samples_df = fail
    with pytest.raises(ValueError) as caught:
        collect(small_study(tmp_path, EVAL))
    assert one_line(caught.value).startswith(f"{tmp_path}/base.eval: inspect_ai cannot read it (")


def test_study_from_calls_a_run_by_its_model(tmp_path, log):
    """A log's own name is a date and a number."""
    log()
    said = []
    path = study_from(str(tmp_path / "base.eval"), str(tmp_path / "mine.yaml"), say=said.append)
    (variant,) = read_yaml(path)["families"][0]["variants"]
    assert variant["role"] == "base" and "model/org-base: base (role: the word 'base' in 'org/base')" in said


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="inspect_ai is not installed")
def test_a_log_that_inspect_ai_wrote_is_read(tmp_path):
    """Two personas, two items and two epochs, answered without a model by the persona's place, the item and the epoch."""
    from inspect_ai import Task
    from inspect_ai import eval as run
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import Score, mean, scorer
    from inspect_ai.solver import solver

    @solver
    def silent():
        async def solve(state, generate):
            return state

        return solve

    @scorer(metrics=[mean()])
    def place():
        async def score(state, target):
            return Score(value="ab".index(state.metadata["persona"]) + state.metadata["item"] + state.epoch - 2)

        return score

    samples = [Sample(input="x", id=f"{p}{q}", metadata={"persona": p, "item": q}) for p in "ab" for q in (1, 2)]
    task = Task(dataset=samples, solver=silent(), scorer=place(), epochs=2)
    (done,) = run(task, model="mockllm/model", log_dir=str(tmp_path / "logs"), display="none")
    assert done.status == "success"
    (tmp_path / "base.eval").write_bytes(next((tmp_path / "logs").glob("*.eval")).read_bytes())
    counts, reasons, _ = read(tmp_path)
    # persona a, item 1: 0 and 1; item 2: 1 and 2; persona b one higher
    assert counts == [[p, q, p + q + e] for p in (0, 1) for q in (0, 1) for e in (0, 1)] and reasons == {}
