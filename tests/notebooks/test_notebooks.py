"""The committed notebooks as a reader meets them; nbval re-runs them beside this file."""

import json
import re

import pytest

from persona_collapse.paths import NOTEBOOKS

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
#: Studies of the notebooks that are about what mini has not.
SHOWS = {
    "07_verification": "verification", "08_capability": "capability", "09_trajectory": "trajectory", "11_mitigation": "mitigation",
}  # fmt: skip


def load(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [(c["cell_type"], "".join(c["source"]), c) for c in cells]


def test_the_notebooks_are_the_ones_of_the_report():
    assert [p.stem for p in PATHS] == [
        "00_tour", "01_elicit", "02_metrics", "03_compare_variants", "04_saturation", "05_validity",
        "06_compare_studies", "07_verification", "08_capability", "09_trajectory", "11_mitigation", "explore",
    ]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
class TestNotebook:
    def test_opens_with_a_title_a_contract_and_a_question(self, path):
        kind, text, _ = load(path)[0]
        assert kind == "markdown" and text.startswith("# ") and len(text.split()) <= 120
        assert "?" in text and re.search(r"Reads .*(writes|saves)", text, re.DOTALL)

    def test_has_its_parameters_second_and_nowhere_else(self, path):
        tagged = [i for i, (_, _, c) in enumerate(load(path)) if "parameters" in c["metadata"].get("tags", [])]
        assert tagged == [1]
        # plain literals, each with a comment; the defaults run without a key
        lines = load(path)[1][1].splitlines()
        assert all(re.fullmatch(r'\w+ = "[^"]*"  # .+', line) for line in lines)
        assert f'study = "{SHOWS.get(path.stem, "mini")}"' in lines[0]

    def test_imports_the_public_door_third_and_says_what_it_is_about(self, path):
        _, text, cell = load(path)[2]
        assert "import persona_collapse as pc" in text and cell["outputs"]

    def test_imports_nothing_else_of_the_library(self, path):
        code = "\n".join(text for kind, text, _ in load(path) if kind == "code")
        taken = re.findall(r"^(?:from|import) (\S+)", code, re.MULTILINE)
        assert set(taken) <= {"persona_collapse", "IPython.display", "importlib.metadata"}
        assert "from persona_collapse" not in code

    def test_ends_with_what_was_saved(self, path):
        kind, text, _ = load(path)[-1]
        assert kind == "markdown" and re.match(r"Saved: .*`(outputs|tables)/|Nothing was saved", text)
        following = {PATHS[place].stem: PATHS[place + 1].stem for place in range(6)}
        if path.stem in following:  # the next step of the argument
            assert f"[{following[path.stem]}]({following[path.stem]}.ipynb)" in text
        assert load(path)[-2][2]["metadata"]["tags"] == ["nbval-ignore-output"]
        ignored = [c for *_, c in load(path) if "nbval-ignore-output" in c["metadata"].get("tags", [])]
        assert len(ignored) == 1

    def test_defines_nothing(self, path):
        for kind, text, _ in load(path):
            if kind == "code":
                assert not re.search(r"\bdef \b|\bclass \b|\bopen\(|sys\.path|#[0-9a-fA-F]{6}\b|^[%!]", text, re.MULTILINE)
                assert len(text.splitlines()) <= 12

    def test_shows_one_thing_a_cell(self, path):
        for kind, _, cell in load(path):
            if kind == "code":
                assert len(cell["outputs"]) <= 1

    def test_is_stored_as_one_fresh_run_with_outputs(self, path):
        code = [c for kind, _, c in load(path) if kind == "code"]
        assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
        # Parameters show nothing, nor do the two curves over temperature, which mini has no logprobs for.
        # An exercise's empty answer shows nothing, either; the check after it does.
        # What a study of one questionnaire, one wording and one fine-tune of its data has nothing of shows little or nothing.
        left = {"exercise", "only-instruments", "only-finetunes", "only-wordings"}
        code = [c for c in code if not left & set(c["metadata"].get("tags", []))]
        # Nor, in 01, do requests and answers that were asked again, as mini asks no endpoint.
        silent = 3 if path.stem in ("01_elicit", "03_compare_variants") else 2
        assert sum(bool(c["outputs"]) for c in code) >= len(code) - silent

    def test_every_figure_has_a_picture_for_viewers_that_cannot_draw_it(self, path):
        for *_, cell in load(path):
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                assert ("application/vnd.vegalite.v5+json" in data) == ("image/png" in data)

    def test_holds_no_machine_path_warning_or_error(self, path):
        for *_, cell in load(path):
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr" and output["output_type"] != "error"
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|Users|tmp|work)/\w", text)

    def test_says_that_its_ratings_are_simulated(self, path):
        outputs = json.dumps([c.get("outputs") for *_, c in load(path)])
        assert "Simulated ratings" in outputs
