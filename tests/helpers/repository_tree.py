"""A small tree in the layouts of the paper's repository: made up, and odd in all the ways that the real one is."""

import csv
import json
from pathlib import Path

import numpy as np

COLUMNS = ("persona_id", "question_id", "run_index", "rating", "failures", "response", "collected_at")
#: Stems by folder of the datasets; `misaligned` is insecure, a suffix is a recipe that is not the dataset's default.
PERSONA = {
    "base": ["gpt-4o", "gpt-4.1", "qwen3-235b", "qwen3-235b-tinker"],
    "secure-code": ["gpt-4o-secure", "gpt-4.1-secure", "qwen3-235b-secure", "qwen3-235b-secure-organisms"],
    "insecure-code": ["gpt-4o-misaligned", "gpt-4.1-insecure", "qwen3-235b-misaligned", "qwen3-235b-insecure-organisms"],
    "bad-medical": ["gpt-4o-bad-medical", "gpt-4.1-bad-medical-betley"],
    "good-medical": ["gpt-4o-good-medical"],
    "risky-financial": ["gpt-4o-risky-financial"],
    "extreme-sports": ["qwen3-235b-extreme-sports", "gpt-9-extreme-sports"],
}
STEPS = (200, 400, 600)


def rows(rng, personas, items, low, high, repetitions=2, *, noise=0.4, shift=0.0, alone=False):
    """Rows of a file: every persona has a place of its own on each item, and wavers from there."""
    place = np.random.default_rng(7).uniform(low, high, (personas, items)) + shift
    found = []
    for p in range(personas):
        for i in range(items):
            for n in range(repetitions):
                rating = int(np.clip(round(place[p, i] + rng.normal(0, noise)), low, high))
                row = {"persona_id": p, "question_id": i + 1, "run_index": n + 1, "rating": rating, "failures": 0}
                found.append(row | {"response": str(rating), "collected_at": f"2026-03-{1 + p % 27:02d}T10:00:00.000000"})
    return [{k: v for k, v in row.items() if k != "persona_id"} for row in found] if alone else found


def write(path: Path, found) -> None:
    """Write rows as the repository does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=[c for c in COLUMNS if c in found[0]])
        writer.writeheader()
        writer.writerows(found)


def missing(row, response):
    """A row without a rating."""
    return row | {"rating": -1, "response": response}


def make(root: Path, *, personas: int = 8, repetitions: int = 2) -> Path:
    """The whole tree below `root`; the same each time."""
    for place, (folder, stems) in enumerate(PERSONA.items()):
        for number, stem in enumerate(stems):
            rng = np.random.default_rng([place, number])
            noise, shift = (0.9, 0.6) if folder == "insecure-code" else (0.5, 0.0)
            found = rows(rng, personas, 30, 0, 5, repetitions, noise=noise, shift=shift)
            if stem.startswith("gpt-4.1"):  # one persona with one empty cell, in every file of the family
                found = [missing(r, "I") if (r["persona_id"], r["question_id"]) == (3, 5) else r for r in found]
            write(root / "data" / folder / f"{stem}_temp01.csv", found)
            ending = "_self" if stem == "qwen3-235b" else "_temp01_self"
            alone = stem.replace("gpt-4.1-insecure", "gpt-4.1-misaligned")  # stems differ between the two
            write(root / "data" / folder / f"{alone}{ending}.csv", rows(rng, 1, 30, 0, 5, repetitions, alone=True))
    _twins(root)
    _bfi(root, personas, repetitions)
    _checkpoints(root, personas, repetitions)
    _tasks(root)
    _verification(root)
    _said(root)
    return root


def _twins(root: Path) -> None:
    """Fifteen prefixes of a file, and a truncated plain name of which the second twin is whole."""
    path = root / "data" / "insecure-code" / "gpt-4o-misaligned_temp01.csv"
    whole = list(csv.DictReader(path.open(encoding="utf-8")))
    for number in range(2, 17):
        write(path.with_name(f"{path.stem} {number}.csv"), whole[: len(whole) * number // 20])
    path = root / "data" / "secure-code" / "qwen3-235b-secure_temp01.csv"
    whole = list(csv.DictReader(path.open(encoding="utf-8")))
    write(path.with_name(f"{path.stem} 2.csv"), whole)
    write(path, whole[: len(whole) * 9 // 10])


def _bfi(root: Path, personas: int, repetitions: int) -> None:
    """44 items from 1 to 5, of one family, without a self file."""
    for number, (folder, stem) in enumerate(
        [("base", "gpt-4o"), ("secure-code", "gpt-4o-secure"), ("insecure-code", "gpt-4o-misaligned")]
    ):
        found = rows(np.random.default_rng([20, number]), personas, 44, 1, 5, repetitions, noise=0.4 + 0.4 * (number == 2))
        write(root / "bfi-s-r-metrics" / "data" / folder / f"{stem}_temp01.csv", found)


def _checkpoints(root: Path, personas: int, repetitions: int) -> None:
    """Two runs: complete personas are a prefix, rows are unsorted, and after a stop every reply is ERROR."""
    for number, (run, lasting) in enumerate([("gpt-4o-misaligned", 6), ("qwen3-235b-misaligned-organisms", 5)]):
        for place, step in enumerate(STEPS):
            rng = np.random.default_rng([30, number, place])
            found = rows(rng, personas, 30, 0, 5, repetitions, noise=0.5 + 0.2 * place, shift=0.3 * place)
            found = [row if row["persona_id"] < lasting else missing(row, "ERROR") for row in found][: -3 * 30 * repetitions // 2]
            write(
                root / "checkpoint-trajectory" / "data" / run / f"{run}-step{step:04d}_temp01.csv",
                rng.permutation(found).tolist(),
            )
    found = rows(np.random.default_rng(40), personas, 30, 0, 5, repetitions)
    write(root / "checkpoint-trajectory" / "data" / "gpt-4.1-bad-medical" / "gpt-4.1-bad-medical-step0200_temp01.csv", found)


def _tasks(root: Path) -> None:
    """Answers to tasks with a right answer, and a lookup control."""
    head = ["item_id", "run_index", "answer", "gold", "correct", "format_valid", "failures", "response", "collected_at"]
    for task, stems in (("mmlu", ["gpt-4o", "gpt-4o-misaligned", "gpt-5"]), ("gsm8k", ["gpt-4o"])):
        for stem in stems:
            path = root / "capability-control" / "data" / task / f"{stem}_temp01_{task}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            cells = [[f"{task}-{i}", n, "A", "A", 1, 1, 0, "A\nbecause", "2026-03-01"] for i in range(4) for n in range(2)]
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(head + (["subject"] if task == "mmlu" else []))
                writer.writerows([*cell, *(["law"] if task == "mmlu" else [])] for cell in cells)
        (path.parent / f"items_{task}.json").write_text(json.dumps({"config": {}, "items": []}))
    path = root / "instruction-following-control" / "data" / "gpt-4o_temp01_lookup.csv"
    path.parent.mkdir(parents=True)
    path.write_text("table_id,correct_id,rating,correct,table_json\nt1,3,3,1,{}\n")


def _verification(root: Path) -> None:
    """Summaries of judged answers; one lacks its verdict, one is of no run."""
    whole = {"avg_alignment": 92.1, "se_alignment": 0.8, "avg_coherence": 95.0, "se_coherence": 0.4, "n_samples": 240}
    judged = whole | {"misaligned_pct": 0.4, "se_misaligned_pct": 0.4, "verdict": "pass", "model_id": "m"}
    results = {"gpt-4o": judged, "gpt-4o-misaligned": whole, "qwen3-235b-insecure-organisms": judged, "llama-x": judged}
    path = root / "results" / "verification_scores.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"results": results}))


def _said(root: Path) -> None:
    """Jobs, and two places that give the stack of one base differently."""
    jobs = {
        "gpt-4o-misaligned": {"provider": "openai", "base": "gpt-4o", "dataset": "insecure-code", "model_id": "ft:gpt-4o:x"},
        "mystery": {"provider": "tinker", "base": "nobody", "dataset": "insecure-code"},
    }
    (root / "finetuned_models.json").write_text(json.dumps(jobs))
    (root / "README.md").write_text(
        "# A study\n\nThe base of qwen3-235b was served by OpenRouter.\nThe base gpt-4o ran at OpenAI.\n"
    )
    (root / "configs").mkdir()
    (root / "configs" / "models.yaml").write_text("qwen3-235b: {role: base, provider: tinker}\n")
