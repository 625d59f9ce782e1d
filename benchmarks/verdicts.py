"""How often the verdict calls a truth by its name: simulated studies in which what the fine-tune did is known.

A study is one draw of personas, a base, controls and a variant for every truth (`known_truths.TRUTHS`), so that verdicts on two
truths are not independent and those on one are. Exits with 1 if a truth is called by the name of another in more than 5 % of
studies, Monte Carlo error allowed for. "Changed otherwise" and "undecided" are no truth's name, and are printed for themselves;
nor is "noisier" the name of another for a lost anchor, whose noise did rise. With --noise 2 the ends of the scale make S fall by
14 % where noise alone doubles, so that "homogenised" is not false of it either, though it is counted as misnamed.
"""

import argparse
import sys
import time

import numpy as np
import pandas as pd

from known_truths import TRUTHS, Design, design
from persona_collapse.study.instrument import load_instrument
from persona_collapse.tables import verdict as rules
from persona_collapse.tables.build import Tables

#: Percentage of studies in which a truth may be called by the name of another.
MOST = 5.0
#: With fewer studies a share is not known well enough to be held to anything.
FEWEST_STUDIES = 50
#: Column of each verdict.
COLUMNS = {
    rules.HOMOGENISED: "homogenised", rules.USE: "use of scale", rules.DYSREGULATED: "dysregulated",
    rules.NOT_BEYOND: "not beyond", rules.WITHOUT_CONTROL: "no control", rules.NOISIER: "noisier", rules.CAST: "another cast",
    rules.UNCHANGED: "unchanged", rules.OTHERWISE: "otherwise", rules.UNDECIDED: "undecided",
}  # fmt: skip
#: Verdicts that are no truth's name.
NO_NAME = (rules.OTHERWISE, rules.UNDECIDED)


def called(found: Design, rng: np.random.Generator, personas: int, repetitions: int) -> pd.Series:
    """The verdict on every truth in one drawn study, by key of the truth."""
    tables = Tables(found.ratings(found.drawn(rng, personas, repetitions)))
    return tables.verdict.set_index("variant")["verdict"].reindex(list(TRUTHS))


def counted(studies: int, personas: int, repetitions: int, *, noise: float = 1, seed: int = 1) -> pd.DataFrame:
    """How often each truth (row) got each verdict (column), in percent."""
    found, rng = design(load_instrument("mfq30"), noise=noise), np.random.default_rng(seed)
    drawn = pd.DataFrame([called(found, rng, personas, repetitions) for _ in range(studies)])
    return pd.DataFrame({key: 100 * (drawn == key).mean() for key in COLUMNS})


def misnamed(shares: pd.DataFrame) -> pd.Series:
    """Percentage of studies in which each truth was called by the name of another."""
    true = {key: {truth.right, truth.less, *NO_NAME} for key, truth in TRUTHS.items()}
    return pd.Series({key: shares.loc[key, [name for name in COLUMNS if name not in true[key]]].sum() for key in TRUTHS})


def error(studies: int) -> float:
    """Standard error of a percentage that is `MOST` in truth."""
    return float((MOST * (100 - MOST) / studies) ** 0.5)


def show(shares: pd.DataFrame, wrong: pd.Series) -> None:
    """Print truth by verdict; the right one in brackets."""
    print(" " * 12 + "".join(f"{name:>14}" for name in COLUMNS.values()) + "      misnamed")
    for key, truth in TRUTHS.items():
        cells = [f"({shares.loc[key, v]:.1f})" if v == truth.right else f"{shares.loc[key, v]:.1f} " for v in COLUMNS]
        print(f"{key:<12}" + "".join(f"{cell:>14}" for cell in cells) + f"{wrong[key]:>14.1f}")
    for key, truth in TRUTHS.items():
        print(f"  {key}: {truth.words}")


def main() -> None:
    """Draw, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=222, help="studies, each with all truths (default 222)")
    parser.add_argument("--personas", type=int, default=60)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--noise", type=float, default=1, help="noise of the base, in its usual noise (default 1: ICC .7)")
    options = parser.parse_args()
    if options.studies < 1:
        parser.error(f"argument --studies: {options.studies} studies; expected 1 or more")
    began = time.perf_counter()
    shares = counted(options.studies, options.personas, options.repetitions, noise=options.noise)
    wrong = misnamed(shares)
    print(
        f"{options.studies} studies of {len(TRUTHS)} truths, {options.personas} personas, {options.repetitions} repetitions, "
        f"noise x {options.noise:g}; percent of studies (standard error at {MOST:g} %: {error(options.studies):.1f})"
    )
    show(shares, wrong)
    held = bool((wrong <= MOST + 2 * error(options.studies)).all())
    few = options.studies < FEWEST_STUDIES
    said = "too few studies to say more" if few else "truths are called by their names" if held else "TRUTHS ARE MISNAMED"
    print(f"{time.perf_counter() - began:.0f} s; {said}")
    sys.exit(0 if held or few else 1)


if __name__ == "__main__":
    main()
