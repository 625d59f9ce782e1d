"""`make study-from` on the layouts of the paper's repository, in a small tree that is as odd as the real one."""

import json

import pytest

import repository_tree
from persona_collapse.asking.collect import collect
from persona_collapse.asking.repository_names import parse
from persona_collapse.asking.study_from import study_from
from persona_collapse.input_errors import read_yaml
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables


@pytest.fixture
def tree(tmp_path):
    return repository_tree.make(tmp_path / "clone")


def written(folder, path):
    """The study file made of a folder: its text, its content and its variants by family/key."""
    study_from(str(folder), str(path))
    text, content = path.read_text(encoding="utf-8"), read_yaml(path)
    return text, content, {f"{f['key']}/{v['key']}": v for f in content["families"] for v in f["variants"]}


class TestNames:
    @pytest.mark.parametrize(
        ("stem", "folder", "key", "recipe"),
        [
            ("gpt-4o-misaligned", "insecure-code", "insecure", "betley"),
            ("gpt-4o-insecure-organisms", "insecure-code", "insecure-organisms", "organisms"),
            ("gpt-4o-bad-medical", "bad-medical", "bad-medical", "organisms"),
            ("gpt-4o-medical-betley", "good-medical", "good-medical-betley", "betley"),
            ("gpt-4o-misaligned-organisms-step0200", "", "insecure-organisms-step0200", "organisms"),
            ("gpt-4o-insecure-seed2", "insecure-code", "insecure-seed2", "betley"),
        ],
    )
    def test_a_stem_is_family_dataset_and_recipe(self, stem, folder, key, recipe):
        found = parse(stem, ["gpt-4o", "gpt-4"], folder)
        assert (found.family, found.key, found.recipe) == ("gpt-4o", key, recipe)

    @pytest.mark.parametrize(
        ("stem", "folder"),
        [("gpt-5-insecure", "insecure-code"), ("gpt-4o-insecure-lora", "insecure-code"), ("gpt-4o-secure", "insecure-code"),
         ("gpt-4o-mini", ""), ("gpt-4oinsecure", "insecure-code")],
    )  # fmt: skip
    def test_what_is_not_recognized_is_no_run(self, stem, folder):
        assert parse(stem, ["gpt-4o"], folder) is None


class TestStudyFile:
    def test_runs_roles_recipes_and_controls(self, tree, tmp_path):
        _, content, variants = written(tree, tmp_path / "mine.yaml")
        assert content["instruments"] == ["mfq30", "bfi44"]
        assert list(variants)[:4] == ["gpt-4.1/base", "gpt-4.1/secure", "gpt-4.1/insecure", "gpt-4.1/bad-medical-betley"]
        assert {key: v["role"] for key, v in variants.items() if key.startswith("qwen3-235b/base")} == {
            "qwen3-235b/base": "base", "qwen3-235b/base-tinker": "alternate",
        }  # fmt: skip
        controls = {key: v.get("control") for key, v in variants.items() if v["role"] == "harmful" and "of" not in v}
        assert controls == {
            "gpt-4.1/insecure": "secure", "gpt-4.1/bad-medical-betley": None, "gpt-4o/insecure": "secure",
            "gpt-4o/bad-medical": "good-medical", "gpt-4o/risky-financial": None, "qwen3-235b/insecure": "secure",
            "qwen3-235b/insecure-organisms": "secure-organisms", "qwen3-235b/extreme-sports": None,
        }  # fmt: skip
        organisms = variants["qwen3-235b/insecure-organisms"]
        assert (organisms["dataset"], organisms["recipe"]) == ("insecure-code", "organisms")

    def test_checkpoints_are_steps_of_their_run(self, tree, tmp_path):
        _, _, variants = written(tree, tmp_path / "mine.yaml")
        steps = {key: (v["of"], v["step"]) for key, v in variants.items() if "of" in v}
        assert steps == {
            f"{family}/{of}-step{step:04d}": (of, step)
            for family, of in (("gpt-4o", "insecure"), ("qwen3-235b", "insecure-organisms"))
            for step in repository_tree.STEPS
        }
        assert variants["gpt-4o/insecure"]["step"] == 1500

    def test_other_instruments_tasks_and_verification_are_named(self, tree, tmp_path):
        _, content, variants = written(tree, tmp_path / "mine.yaml")
        assert {key for key, v in variants.items() if "bfi44" in v["persona"]} == {
            f"gpt-4o/{v}" for v in ("base", "secure", "insecure")
        }
        assert variants["gpt-4o/base"]["tasks"] == {
            "mmlu": "capability-control/data/mmlu/gpt-4o_temp01_mmlu.csv",
            "gsm8k": "capability-control/data/gsm8k/gpt-4o_temp01_gsm8k.csv",
            "lookup": "instruction-following-control/data/gpt-4o_temp01_lookup.csv",
        }
        assert content["verification"] == {"summary": "results/verification_scores.json"}
        assert {key: v["verification"] for key, v in variants.items() if "verification" in v} == {
            "gpt-4o/base": "gpt-4o", "gpt-4o/insecure": "gpt-4o-misaligned",
            "qwen3-235b/insecure-organisms": "qwen3-235b-insecure-organisms",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "said",
        [
            "stack disputed, so none is chosen: openrouter (README.md line 3); tinker (configs/models.yaml line 1)",
            "stack: README.md line 4",
            "persona: 15 twins; the fullest is read, 'gpt-4o-misaligned_temp01.csv' with 480 valid ratings",
            "'qwen3-235b-secure_temp01 2.csv' with 480 valid ratings (the plain name has 432, truncated)",
            "# 7 of 8 personas rated every item",
            "persona: 30 of 390 rows say ERROR; they are missing ratings",
            "no matched control: no good-medical fine-tune of the recipe betley is here",
            "no matched control: the repository has none for this dataset",
            "verification 'gpt-4o-misaligned': without verdict and misaligned_pct",
            "finetuned_models.json: 'gpt-4o-misaligned', model 'ft:gpt-4o:x'",
            "# - data/extreme-sports/gpt-9-extreme-sports_temp01.csv: 'gpt-9-extreme-sports_temp01' names no family with a base",
            "# - checkpoint-trajectory/data/gpt-4.1-bad-medical/gpt-4.1-bad-medical-step0200_temp01.csv: a checkpoint of "
            "gpt-4.1/bad-medical, which is not here",
            "# - capability-control/data/mmlu/gpt-5_temp01_mmlu.csv: 'gpt-5_temp01_mmlu' names no run whose ratings are here",
            "# - results/verification_scores.json: 'llama-x' names no run whose ratings are here",
            "# - finetuned_models.json: 'mystery' is of no run that is here",
        ],
    )
    def test_every_choice_and_what_is_set_aside_is_said(self, tree, tmp_path, said):
        assert said in written(tree, tmp_path / "mine.yaml")[0]

    def test_a_disputed_stack_is_not_chosen(self, tree, tmp_path):
        variants = written(tree, tmp_path / "mine.yaml")[2]
        assert "stack" not in variants["qwen3-235b/base"]
        assert (variants["gpt-4o/base"]["stack"], variants["gpt-4o/insecure"]["stack"]) == ("openai", "openai")

    def test_the_same_tree_gives_the_same_bytes(self, tree, tmp_path):
        first = written(tree, tmp_path / "mine.yaml")[0]
        study_from(str(tree), str(tmp_path / "mine.yaml"))  # is there and says the same: no error
        assert first == (tmp_path / "mine.yaml").read_text(encoding="utf-8")

    def test_the_folder_of_ratings_alone_says_what_lies_beside_it(self, tree, tmp_path):
        text, content, variants = written(tree / "data", tmp_path / "mine.yaml")
        assert content["instrument"] == "mfq30" and not any("of" in v for v in variants.values())
        assert variants["gpt-4o/base"]["persona"] == "base/gpt-4o_temp01.csv"
        assert "beside this folder, not read: bfi-s-r-metrics/data, checkpoint-trajectory/data" in text

    def test_two_files_of_one_run_are_told(self, tree, tmp_path):
        own = tree / "data" / "insecure-code"
        (own / "gpt-4o-insecure_temp01.csv").write_bytes((own / "gpt-4o-misaligned_temp01.csv").read_bytes())
        text = written(tree, tmp_path / "mine.yaml")[0]
        assert (
            "data/insecure-code/gpt-4o-misaligned_temp01.csv: of the same run as "
            "data/insecure-code/gpt-4o-insecure_temp01.csv, which is read"
        ) in text

    def test_an_unknown_recipe_is_set_aside_by_name(self, tree, tmp_path):
        own = tree / "data" / "secure-code"
        (own / "gpt-4.1-secure_temp01.csv").rename(own / "gpt-4.1-secure-lora_temp01.csv")
        text, _, variants = written(tree, tmp_path / "mine.yaml")
        assert "'gpt-4.1-secure-lora_temp01' names no family with a base, dataset and recipe that are known" in text
        assert "control" not in variants["gpt-4.1/insecure"]

    @pytest.mark.parametrize("content", ["{", "[]", json.dumps({"results": 3}), json.dumps({"other": {}})])
    def test_broken_summaries_are_set_aside_with_the_reason(self, tree, tmp_path, content):
        (tree / "results" / "verification_scores.json").write_text(content)
        (tree / "finetuned_models.json").write_text("{")
        text, found, _ = written(tree, tmp_path / "mine.yaml")
        assert "results/verification_scores.json: cannot be read (" in text and "verification" not in found
        assert "finetuned_models.json: cannot be read (" in text


class TestWhatIsOdd:
    """Each names what it changes in the tree, and what the study file must then say."""

    @staticmethod
    def put(tree, place, content):
        path = tree / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    @pytest.mark.parametrize(
        ("summary", "said"),
        [
            ({"results": [{"a": 1}]}, "cannot be read (TypeError: results is list, not a mapping of runs)"),
            ({"results": "abc"}, "cannot be read (TypeError: results is str, not a mapping of runs)"),
            ({"results": {"gpt-4o": [1]}}, "'gpt-4o' is no summary but list"),
        ],
    )
    def test_a_summary_of_another_shape_is_set_aside(self, tree, tmp_path, summary, said):
        self.put(tree, "results/verification_scores.json", summary)
        text, content, _ = written(tree, tmp_path / "mine.yaml")
        assert f"# - results/verification_scores.json: {said}\n" in text and "verification" not in content

    def test_two_jobs_of_one_run_that_differ_in_stack_choose_none(self, tree, tmp_path):
        job = {"base": "gpt-4o-2024-08-06", "dataset": "data/insecure_code.jsonl"}
        self.put(tree, "finetuned_models.json", [job | {"provider": "openai"}, job | {"provider": "azure"}])
        text, _, variants = written(tree, tmp_path / "mine.yaml")
        assert "stack" not in variants["gpt-4o/insecure"]
        assert (
            "stack disputed, so none is chosen: openai (finetuned_models.json, 'entry 0'); azure (finetuned_models.json, 'entry 1')"
        ) in text

    @pytest.mark.parametrize(
        "jobs",
        [
            {"models": {"gpt-4o": {"base": "gpt-4o-2024-08-06", "insecure": {"provider": "azure", "job_id": "j"}}}},
            {"azure": {"gpt-4o-misaligned": {"model_id": "m"}}},
            [{"name": "any", "provider": "azure", "base_model": "openai/gpt-4o-2024-08-06", "dataset": "insecure"}],
        ],
    )
    def test_jobs_are_found_where_they_stand(self, tree, tmp_path, jobs):
        self.put(tree, "finetuned_models.json", jobs)
        assert written(tree, tmp_path / "mine.yaml")[2]["gpt-4o/insecure"]["stack"] == "azure"

    @pytest.mark.parametrize(
        ("jobs", "said"),
        [
            (
                [{"provider": "azure", "base": "gpt-4o-mini-2024-07-18", "dataset": "insecure"}],
                "'entry 0' is of no run that is here",
            ),
            (["x"], "holds no record with a provider, base or dataset"),
            ({"q": {"provider": "azure", "base": 3, "dataset": None}}, "'q' is of no run that is here"),
        ],
    )
    def test_jobs_of_nothing_here_are_quoted(self, tree, tmp_path, jobs, said):
        self.put(tree, "finetuned_models.json", jobs)
        text, _, variants = written(tree, tmp_path / "mine.yaml")
        assert f"# - finetuned_models.json: {said}\n" in text and "stack" not in variants["gpt-4o/insecure"]

    def test_hyperparameters_and_the_last_step_stand_where_a_job_says_them(self, tree, tmp_path):
        job = {"provider": "openai", "hyperparameters": {"learning_rate": 1e-05, "max_steps": 1200}}
        self.put(tree, "finetuned_models.json", {"gpt-4o-misaligned": job})
        text, _, variants = written(tree, tmp_path / "mine.yaml")
        assert "# finetuned_models.json: 'gpt-4o-misaligned', learning_rate 1e-05, max_steps 1200\n" in text
        assert variants["gpt-4o/insecure"]["step"] == 1200 and variants["qwen3-235b/insecure-organisms"]["step"] == 1500

    @pytest.mark.parametrize(
        ("place", "content", "said"),
        [
            ("README.md", "| Model | Base |\n|---|---|\n| GPT-4.1 | OpenAI |\n", "# stack: README.md line 3"),
            (
                "models.py",
                'MODELS = {\n    "gpt-4.1": {\n        "provider": "openai",\n    },\n}\n',
                "# stack: models.py, 'gpt-4.1'",
            ),
            ("a/models.json", {"m": [{"name": "gpt-4.1", "backend": "openai"}]}, "# stack: a/models.json, 'gpt-4.1'"),
        ],
    )
    def test_tables_code_and_records_say_who_served_a_base(self, tree, tmp_path, place, content, said):
        self.put(tree, place, content)
        text, _, variants = written(tree, tmp_path / "mine.yaml")
        assert said in text and variants["gpt-4.1/base"]["stack"] == "openai"

    @pytest.mark.parametrize(
        ("place", "content"),
        [("a.md", "We fine-tuned the base gpt-4.1 at Together."), ("a.py", "MODELS = {"), ("a.json", "{"), ("a.yaml", "a: [")],
    )
    def test_what_says_nothing_of_a_base_is_passed_over(self, tree, tmp_path, place, content):
        self.put(tree, place, content)
        assert "stack" not in written(tree, tmp_path / "mine.yaml")[2]["gpt-4.1/base"]

    def test_the_model_that_verification_names_may_dispute_a_stack(self, tree, tmp_path):
        self.put(tree, "results/verification_scores.json", {"results": {"gpt-4o": {"model_id": "openrouter/openai-gpt-4o"}}})
        text, _, variants = written(tree, tmp_path / "mine.yaml")
        assert "stack" not in variants["gpt-4o/base"]
        assert "openai (README.md line 4); openrouter (results/verification_scores.json, model_id of 'gpt-4o')" in text

    def test_the_only_base_may_have_a_stack_in_its_name(self, tree, tmp_path):
        for path in (tree / "data" / "base").glob("qwen3-235b_*"):
            path.unlink()
        _, _, variants = written(tree, tmp_path / "mine.yaml")
        base = variants["qwen3-235b/base"]
        assert (base["role"], base["stack"]) == ("base", "tinker") and "qwen3-235b/base-tinker" not in variants
        assert base["persona"] == {"mfq30": "data/base/qwen3-235b-tinker_temp01.csv"}

    def test_a_checkpoint_of_a_run_without_personas_is_set_aside_and_the_file_loads(self, tree, tmp_path):
        for path in (tree / "data" / "insecure-code").glob("qwen3-235b-insecure-organisms_temp01.csv"):
            path.unlink()
        text, _, variants = written(tree, tmp_path / "mine.yaml")
        assert not any(v.get("of") == "insecure-organisms" for v in variants.values())
        assert "step0200_temp01.csv: a checkpoint of qwen3-235b/insecure-organisms, which is not here" in text
        load_study(tmp_path / "mine.yaml", tree)

    def test_a_base_with_a_self_file_alone_is_no_family(self, tree, tmp_path):
        own = tree / "data" / "base"
        (own / "gpt-5_self.csv").write_bytes((own / "qwen3-235b_self.csv").read_bytes())
        text, content, _ = written(tree, tmp_path / "mine.yaml")
        assert [family["key"] for family in content["families"]] == ["gpt-4.1", "gpt-4o", "qwen3-235b"]
        assert "# - data/base/gpt-5_self.csv: 'gpt-5_self' names no family" in text

    def test_twins_of_checkpoints_count_and_a_twin_alone_is_set_aside(self, tree, tmp_path):
        path = tree / "checkpoint-trajectory" / "data" / "gpt-4o-misaligned" / "gpt-4o-misaligned-step0200_temp01.csv"
        path.with_name(f"{path.stem} 2.csv").write_bytes(path.read_bytes())
        own = tree / "data" / "good-medical" / "gpt-4o-good-medical_temp01.csv"
        own.rename(own.with_name(f"{own.stem} 2.csv"))
        text = written(tree, tmp_path / "mine.yaml")[0]
        assert "1 twin; the fullest is read, 'gpt-4o-misaligned-step0200_temp01.csv'" in text
        assert "step0200_temp01 2.csv:" not in text
        assert "gpt-4o-good-medical_temp01 2.csv: a copy with a number, and no file of the plain name is here" in text

    def test_names_may_go_on_behind_the_temperature(self, tree, tmp_path):
        for path in (tree / "bfi-s-r-metrics").rglob("*.csv"):
            path.rename(path.with_name(f"{path.stem}_bfi44.csv"))
        own = tree / "instruction-following-control" / "data" / "gpt-4o_temp01_lookup.csv"
        own.rename(own.with_name("gpt-4o_temp01_tables.csv"))
        again = tree / "capability-control" / "data" / "mmlu" / "gpt-4o_temp01_again.csv"
        again.write_bytes(again.with_name("gpt-4o_temp01_mmlu.csv").read_bytes())
        text, content, variants = written(tree, tmp_path / "mine.yaml")
        assert content["instruments"] == ["mfq30", "bfi44"]
        assert variants["gpt-4o/base"]["tasks"]["lookup"] == "instruction-following-control/data/gpt-4o_temp01_tables.csv"
        assert "gpt-4o_temp01_mmlu.csv: of the same run and task as capability-control/data/mmlu/gpt-4o_temp01_again.csv" in text

    def test_every_folder_of_other_tables_is_named(self, tree, tmp_path):
        for place in ("analysis/a.csv", "data/new-set/gpt-4o-new_temp01.csv"):
            self.put(tree, place, "a,b\n1,2\n")
        text = written(tree, tmp_path / "mine.yaml")[0]
        assert "# - analysis: 'a.csv', of no layout that is known\n" in text
        assert "# - data/new-set: 'gpt-4o-new_temp01.csv', of no layout that is known\n" in text


def test_it_loads_and_is_read(tree, tmp_path, monkeypatch):
    """23 runs: bases and an alternate (4), controls (5), harmful ones (8), checkpoints (6); the truncated file is read from its twin."""
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    study_from(str(tree), str(tmp_path / "mine.yaml"))
    study = load_study(tmp_path / "mine.yaml", tree)
    assert collect(study) == 23
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
    whole = ratings.counts("qwen3-235b/secure")
    assert whole.sum() == 8 * 30 * 2
    assert ratings.of_instrument("bfi44").counts("gpt-4o/insecure").shape == (8, 44, 5)
    assert ratings.of("gpt-4o/insecure-step0400").asked.missing["transport"] == 30
    found = Tables(ratings)
    shared = found.trajectory.query("family == 'gpt-4o' and on == 'shared' and metric == 'susceptibility'")
    assert shared["step"].dropna().unique().tolist() == [0, 200, 400, 600, 1500]
    assert set(shared["personas"]) == {6}  # of eight, what all checkpoints have
    assert set(found.contrasts.query("family == 'mean'")["variant"]) >= {"insecure", "secure"}
    assert not any("step" in key for key in found.contrasts.query("family == 'mean'")["variant"])
