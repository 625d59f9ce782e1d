"""The first thing that a page says of a base that was fine-tuned before: whether it plays characters, by hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from persona_collapse.exhibits.taught_sentences import taught
from persona_collapse.study.study_file import Family


def tables(change, level=(0.5, 0.4, 0.6)):
    """S of base and untaught, and the change of untaught against the base, in percent: value, lo, hi."""
    base = {"key": "base", "role": "base", "taught": {"data": "answers of *others*", "untaught": "raw"}}
    family = Family.model_validate({"key": "f", "label": "F", "variants": [base, {"key": "raw", "role": "alternate"}]})
    same = {"family": "f", "scope": "overall", "metric": "susceptibility", "method": "recommended"}
    levels = [same | {"variant": "base", "value": 1, "lo": 0.8, "hi": 1.2}]
    levels.append(same | {"variant": "raw"} | dict(zip(("value", "lo", "hi"), level, strict=True)))
    contrast = same | {"variant": "raw", "quantity": "change_pct"} | dict(zip(("value", "lo", "hi"), change, strict=True))
    study = SimpleNamespace(file=SimpleNamespace(families=(family,)))
    return SimpleNamespace(study=study, metrics=pd.DataFrame(levels), contrasts=pd.DataFrame([contrast]))


HEAD = "**Can F play characters at all?** The base was first fine-tuned on answers of \\*others\\*."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # untaught 50 % below the base: the base is 1 / .5 = 2 times it; -60 % gives 1 / .4 = 2.5, -20 % gives 1 / .8 = 1.25
        ((-50, -60, -20), " S is 2 [1.2, 2.5] times that of raw, the model before (1 [0.8, 1.2] and 0.5 [0.4, 0.6])."),
        # +25 % gives 1 / 1.25 = .8
        (
            (-20, -50, 25),
            " That S rose by that cannot be told: it is 1.2 [0.8, 2] times that of raw, the model before",
        ),
        # +100 % gives .5, +25 % gives .8
        ((60, 25, 100), " S fell by that: it is 0.62 [0.5, 0.8] times that of raw, the model before"),
        ((-50, -100, 0), " Whether it can is not known: S of the base, or of raw, has no interval."),
        ((-50, float("nan"), float("nan")), " Whether it can is not known"),
    ],
)
def test_whether_it_plays_characters_is_told_by_the_ratio_and_its_interval(change, said):
    assert taught(tables(change)).startswith(HEAD + said)


def test_without_an_interval_of_a_level_nothing_is_said_of_it():
    assert "is not known" in taught(tables((-50, -60, -20), level=(0.5, float("nan"), float("nan"))))


def test_a_base_that_was_not_taught_has_no_such_sentence():
    plain = Family.model_validate({"key": "f", "variants": [{"key": "base", "role": "base"}]})
    assert taught(SimpleNamespace(study=SimpleNamespace(file=SimpleNamespace(families=(plain,))))) == ""
