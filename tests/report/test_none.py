"""The report of a study of which no answer is a rating."""

import shutil

import pytest

from live import live_study
from loopback import answer, serve
from persona_collapse.__main__ import main
from persona_collapse.paths import ROOT
from persona_collapse.study.load_study import load_study


@pytest.mark.slow
def test_a_study_without_a_rating_has_a_page_that_shows_the_replies(tmp_path, monkeypatch):
    """Its notebooks run in processes of their own, which know no outputs but the project's: it is asked and removed there."""
    monkeypatch.setenv("TEST_KEY", "sk-sentinel-0123456789")
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", ROOT / "outputs")
    variants = [
        {"key": key, "role": role, "endpoint": "here", "model": key, **({"control": "ok"} if key == "bad" else {})}
        for key, role in (("base", "base"), ("ok", "control"), ("bad", "harmful"))
    ]
    with serve(lambda request: answer("Sure, <b>as</b> a farmer")) as (url, _):
        path = live_study(tmp_path, url, families=[{"key": "f", "variants": variants}]).path
        study = load_study(path.rename(path.with_name(f"without-a-rating-{tmp_path.parent.name}.yaml")))
        try:
            assert main(["report", "--study", str(study.path)]) == 0
            page = (study.outputs / "report.html").read_text(encoding="utf-8")
            table = (study.outputs / "tables" / "quality.csv").read_text(encoding="utf-8")
        finally:
            shutil.rmtree(study.outputs)
    said = "“Sure, &lt;b&gt;as&lt;/b&gt; a farmer”"
    assert page.count(f"{said} (60 times)") == 3  # of each run's personas
    assert page.count(f"{said} (30 times)") == 3  # and without one
    assert "None of these 3 runs gave a rating" in page
    # Nothing false is said of what was asked: both runs were, without a persona too, and the variant has a base.
    for false in (
        "was asked without a persona",
        "S is nan",
        "nan for the",
        "names a matched control",
        "This run never",
        "no variant to make",
        "item 0 times",
    ):
        assert false not in page, page[page.index(false) - 300 : page.index(false) + 200]
    assert "Sure" not in table  # replies are the model's text, and leave only if asked for
