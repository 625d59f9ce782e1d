"""Study files whose truth is known, for `make report`: a folder each, with the ratings of a base, a control and a fine-tune.

What a page says of a truth can then be held against it. Some are what a fine-tune may do (`known_truths.TRUTHS`), the others
what a design may get wrong. `--say` prints the summary of each page without making it.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

import known_treatments
from known_truths import TRUTHS, Design, Truth, design, population
from persona_collapse.exhibits import verdict_sentences
from persona_collapse.sections.record import sections
from persona_collapse.simulated.response_model import latent_probabilities
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.tables import verdict as rules
from persona_collapse.tables.build import Tables

#: Personas and repetitions of a study.
PERSONAS, REPETITIONS = 60, 10
#: What of a run stands in a study file; treatments have more of them.
RUNS = known_treatments.RUNS
THREE = ("base", "control", "insecure")


class Drawn(NamedTuple):
    """A study: what is true of it, and the ratings of its runs, one row each (persona, item, repetition, rating)."""

    words: str
    runs: Mapping[str, pd.DataFrame]


def rows(counts: np.ndarray, names: np.ndarray | None = None) -> pd.DataFrame:
    """A row a rating from counts (persona, item, category); items and repetitions count from 1."""
    place = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0)
    frame = pd.DataFrame({"persona": place[:, 0], "item": place[:, 1] + 1})
    frame["repetition"] = frame.groupby(["persona", "item"]).cumcount() + 1
    frame["rating"] = place[:, 2]
    frame["persona"] = (np.arange(len(counts)) if names is None else names)[frame["persona"]]
    return frame.astype({"persona": str}).assign(persona=lambda f: "p" + f["persona"])


def of_truth(key: str, instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """A study of one of the known truths."""
    truth = TRUTHS[key]
    counts = _of(instrument, truth).drawn(rng, PERSONAS, REPETITIONS)
    return Drawn(
        truth.words, {"base": rows(counts["base"]), "control": rows(counts[truth.control]), "insecure": rows(counts["own"])}
    )


def of_treatment(key: str, instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """A study of a treatment whose truth is known."""
    counts = known_treatments.drawn(instrument, key, rng, PERSONAS, REPETITIONS)
    return Drawn(known_treatments.TREATMENTS[key].words, {name: rows(found) for name, found in counts.items()})


def identical(instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """The base's own file again."""
    counts = _same(instrument).drawn(rng, PERSONAS, REPETITIONS)
    return Drawn(
        "identical runs", {"base": rows(counts["base"]), "control": rows(counts["control"]), "insecure": rows(counts["base"])}
    )


def single(instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """One rating a cell, of a fine-tune that lost its anchor."""
    counts = _of(instrument, TRUTHS["lost"]).drawn(rng, PERSONAS, 1)
    return _three("one rating a cell, anchor lost", counts)


def refused(instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """A redraw of the base that refuses every other 5."""
    found = _three("unchanged, but half of the fives refused", _same(instrument).drawn(rng, PERSONAS, REPETITIONS))
    own = found.runs["insecure"]
    gone = (own["rating"] == 5) & (rng.random(len(own)) < 0.5)
    return found._replace(runs={**found.runs, "insecure": own.assign(rating=own["rating"].astype("Int64").mask(gone))})


def shared_noise(instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """Every run the same model, of which the ten choices of a cell share a third of their noise variance."""
    base = population(instrument)
    who = rng.integers(len(base.location), size=PERSONAS)
    location, noise = base.location[who], base.noise[who]
    runs = {}
    for key in THREE:
        moved = location + np.sqrt(1 / 3) * noise * rng.normal(size=noise.shape)
        runs[key] = rows(rng.multinomial(REPETITIONS, latent_probabilities(moved, np.sqrt(2 / 3) * noise, 1.0, range(6))))
    return Drawn("unchanged, but the choices of a cell share noise", runs)


def clusters(instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """Every run the same model; personas come in threes whose locations correlate by about .9."""
    base = population(instrument)
    who = np.repeat(rng.integers(len(base.location), size=PERSONAS // 3), 3)
    location = base.location[who] + rng.normal(0, 0.25, (PERSONAS, base.location.shape[1]))
    found = latent_probabilities(location, base.noise[who], 1.0, range(6))
    return Drawn(
        "unchanged, personas alike in threes",
        {key: rows(rng.multinomial(REPETITIONS, found)) for key in ("base", "control", "insecure")},
    )


def other_ids(instrument: Instrument, rng: np.random.Generator) -> Drawn:
    """A redraw of the base in which half of the personas go by ids that the base has not."""
    counts = _same(instrument).drawn(rng, PERSONAS, REPETITIONS)
    names = np.arange(PERSONAS) + np.where(np.arange(PERSONAS) < PERSONAS // 2, 0, PERSONAS)
    found = _three("unchanged, half of the personas under other ids", counts)
    return found._replace(runs={**found.runs, "insecure": rows(counts["own"], names)})


#: Every study by name.
STUDIES: Mapping[str, Callable[[Instrument, np.random.Generator], Drawn]] = {
    **{key: partial(of_truth, key) for key in TRUTHS},
    "identical": identical, "single": single, "refused": refused, "shared-noise": shared_noise, "clusters": clusters,
    "other-ids": other_ids, **{key: partial(of_treatment, key) for key in known_treatments.TREATMENTS},
}  # fmt: skip


def _of(instrument: Instrument, truth: Truth) -> Design:
    return design(instrument, {"own": truth})


def _same(instrument: Instrument) -> Design:
    return _of(instrument, Truth("a redraw of the base", rules.UNCHANGED, lambda base, rng: base))


def _three(words: str, counts: Mapping[str, np.ndarray]) -> Drawn:
    return Drawn(words, {"base": rows(counts["base"]), "control": rows(counts["control"]), "insecure": rows(counts["own"])})


def write(folder: Path, name: str, drawn: Drawn) -> Path:
    """The study file and ratings.csv of a study in a folder of its name; returns the study file."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    table = pd.concat([frame.assign(model=key) for key, frame in drawn.runs.items()], ignore_index=True)
    table.to_csv(own / "ratings.csv", index=False, lineterminator="\n")
    variants = [{"key": key, **RUNS[key], "persona": "ratings.csv", "rows": {"model": key}} for key in drawn.runs]
    content = {
        "title": f"Simulated truth: {drawn.words}", "kind": "imported", "instrument": "mfq30",
        "families": [{"key": "known", "label": "Known", "variants": variants}],
    }  # fmt: skip
    path = own / f"truth-{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def summary(drawn: Drawn) -> str:
    """What the head of the page says of a study, without its links."""
    frames = [frame.assign(family="known", variant=key, **RUNS[key]) for key, frame in drawn.runs.items()]
    tables = Tables(Ratings.from_frame(pd.concat(frames, ignore_index=True), title=drawn.words))
    said = [f"  {line}" for section in sections(tables.study) for part in section.summary for line in part.say(tables)]
    return "\n".join([*said, str(verdict_sentences.verdict(tables.verdict, tables.study))])


def main() -> None:
    """Write every study, or say what its page says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("outputs/truths"), help="where to (default outputs/truths)")
    parser.add_argument("--only", nargs="+", choices=list(STUDIES), default=list(STUDIES), help="these studies alone")
    parser.add_argument("--say", action="store_true", help="print the summary of each page instead of writing")
    options = parser.parse_args()
    instrument = load_instrument("mfq30")
    for number, name in enumerate(STUDIES):
        if name not in options.only:
            continue
        drawn = STUDIES[name](instrument, np.random.default_rng([31, number]))
        print(f"{name}: {drawn.words}")
        if options.say:
            print(summary(drawn))
        else:
            path = write(options.folder, name, drawn)
            print(f"  make report STUDY={path}")


if __name__ == "__main__":
    main()
