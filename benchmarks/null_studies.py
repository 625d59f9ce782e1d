"""How often a study in which nothing happened says that something did, and how often a real change is called none.

Null studies: a control and a fine-tune that are redraws of the base. Every headline is looked at in both directions; its
intervals are of 95 %, so that each says something in 2.5 % of them; the joint test over all of its analyses does so in 5 %.
Changed studies: S, or noise, larger by exactly the smallest change worth caring about; two one-sided tests at 5 % may call them
equivalent in 5 %. Exits with 1 where a share is beyond that by more than Monte Carlo error.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from known_populations import KNOWN, true_values
from known_truths import Design, Latent, Truth, design, population
from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.equivalence import EQUIVALENT, SMALL
from persona_collapse.statistics.presence import GONE
from persona_collapse.statistics.recommended_estimators import LeaveOneOut
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.tables import verdict as rules
from persona_collapse.tables.build import Tables

#: Percentage of studies that may say something in either direction, or call a change equivalent.
MOST = 5.0
#: The smallest change worth caring about, as study files have it by default.
SMALLEST = 1.1
#: With fewer studies a share is not known well enough to be held to anything.
FEWEST_STUDIES = 50
NULL = Truth("a redraw of the base", rules.UNCHANGED, lambda base, rng: base)


def _change(metric: str, tables: Tables) -> persona_jackknife.Interval:
    return persona_jackknife.change(*_sides(tables, "null", "base")).of(metric).at(0)


def _excess(metric: str, tables: Tables) -> persona_jackknife.Interval:
    return persona_jackknife.excess(*_sides(tables, "null", "control", "base")).of(metric).at(0)


def _anchor(tables: Tables) -> persona_jackknife.Interval:
    return persona_jackknife.shift(*_sides(tables, "null", "control")).of("icc").at(0)


def _sides(tables: Tables, *keys: str) -> tuple[LeaveOneOut, ...]:
    return tables.analysis.together(*(tables.study.run("f", key) for key in keys)).loo


#: Headlines: what an interval of each says of a null study. A further test is a line here.
HEADLINES: Mapping[str, Callable[[Tables], persona_jackknife.Interval]] = {
    "S": lambda tables: _change("susceptibility", tables),
    "noise": lambda tables: _change("within_rms", tables),
    "S beyond the control": lambda tables: _excess("susceptibility", tables),
    "noise beyond the control": lambda tables: _excess("within_rms", tables),
    "ICC less the control's (logit)": _anchor,
}


def enlarged(instrument: Instrument, metric: str, made: Callable[[Latent, float], Latent], by: float = SMALLEST) -> Latent:
    """The base with a metric of the whole population so many times as large, by the factor for which `made` makes it so."""
    base, scope, row = population(instrument), scope_matrix(instrument)[:, :1], KNOWN.index(metric)

    def off(factor: float) -> float:
        return float(np.log(_true(made(base, factor), scope, row) / _true(base, scope, row)) - np.log(by))

    return made(base, float(brentq(off, 1, 1.5, xtol=1e-6)))


def _true(latent: Latent, scope: np.ndarray, row: int) -> float:
    return float(true_values(latent.probabilities(), range(6), scope, 2)[row, 0])


def designed(instrument: Instrument) -> Design:
    """A null variant, and variants with S and with noise larger by the smallest change."""
    wider, noisier = (
        enlarged(instrument, metric, made) for metric, made in (("susceptibility", Latent.wider), ("within_rms", Latent.noisier))
    )
    return design(
        instrument,
        {
            "null": NULL,
            "wider": Truth("S larger by the smallest change", rules.OTHERWISE, lambda base, rng: wider),
            "noisier": Truth("noise larger by the smallest change", rules.OTHERWISE, lambda base, rng: noisier),
        },
        controls=("control",),
    )


def said(tables: Tables) -> dict[str, bool]:
    """What one drawn study says."""
    found: dict[str, bool] = {}
    for name, of in HEADLINES.items():
        interval = of(tables)
        found |= {f"{name} rises": bool(interval.lo > 0), f"{name} falls": bool(interval.hi < 0)}
    tested = tables.headlines[tables.headlines["variant"] == "null"]
    found |= {f"joint test of {row.headline}": bool(row.p_joint <= MOST / 100) for row in tested.itertuples()}
    verdicts = tables.verdict.set_index("variant")
    same = tables.equivalence.set_index(["variant", "metric"])["verdict"]
    nothing = (rules.UNCHANGED, rules.UNDECIDED)
    return found | {
        "personas gone": bool((tables.presence["verdict"] == GONE).any()),
        "verdict on the variant": verdicts.loc["null", "verdict"] not in nothing,
        "verdict on the control": verdicts.loc["control", "verdict"] not in nothing,
        "S 10 % larger called equivalent": same["wider", "susceptibility"] in (EQUIVALENT, SMALL),
        "noise 10 % larger called equivalent": same["noisier", "robustness"] in (EQUIVALENT, SMALL),
    }


def held(shares: pd.Series, studies: int) -> bool:
    """Whether no share, of a headline both directions together, is beyond `MOST` by more than two standard errors."""
    both = [shares[f"{name} rises"] + shares[f"{name} falls"] for name in HEADLINES]
    rest = shares[[name for name in shares.index if not name.endswith((" rises", " falls"))]]
    most = MOST + 2 * (MOST * (100 - MOST) / studies) ** 0.5
    return bool(max(*both, *rest) <= most and shares["personas gone"] == 0)


def main() -> None:
    """Draw, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--personas", type=int, default=60)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    if options.studies < 1:
        parser.error(f"argument --studies: {options.studies} studies; expected 1 or more")
    began, rng, found = time.perf_counter(), np.random.default_rng(2), designed(load_instrument("mfq30"))
    drawn = [said(Tables(found.ratings(found.drawn(rng, options.personas, options.repetitions)))) for _ in range(options.studies)]
    shares = 100 * pd.DataFrame(drawn).mean()
    at = [(share * (100 - share) / options.studies) ** 0.5 for share in (2.5, MOST)]
    print(
        f"{options.studies} null studies, {options.personas} personas, {options.repetitions} repetitions: percent that say so "
        f"(standard error {at[0]:.1f} at 2.5 %, {at[1]:.1f} at 5 %)"
    )
    for name, share in shares.items():
        print(f"  {name:<90}{share:5.1f}")
    good, few = held(shares, options.studies), options.studies < FEWEST_STUDIES
    found_out = "too few studies to say more" if few else "nothing is said too often" if good else "SOMETHING IS SAID TOO OFTEN"
    print(f"{time.perf_counter() - began:.0f} s; {found_out}")
    sys.exit(0 if good or few else 1)


if __name__ == "__main__":
    main()
