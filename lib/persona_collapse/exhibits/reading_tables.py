"""Tables for reading: wide, rounded, with words in place of keys."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables.saturation import mean_rows, printed_toxic
from persona_collapse.vocabulary import METRICS


@exhibit.table(
    "levels",
    "S, R and ICC of a run with 95 % CI for other personas; S and R by the paper's formula with their standard errors.",
)
def levels_table(run_metrics: pd.DataFrame) -> pd.DataFrame:
    """S, R and ICC of one run by scope with interval A, and the published S and R with their standard errors beside them."""
    found = {}
    for name, digits, metric in (
        (METRICS[key].name, METRICS[key].digits, key) for key in ("susceptibility", "robustness", "icc")
    ):
        rows = run_metrics[(run_metrics["metric"] == metric) & (run_metrics["method"] == "recommended")].set_index("scope")
        found[f"{name} [95 % CI]"] = [
            f"{r.value:.{digits}f}" + (f" [{r.lo:.{digits}f}, {r.hi:.{digits}f}]" if np.isfinite(r.lo) else "")
            for r in rows.itertuples()
        ]
    for name, digits, metric in ((METRICS[key].name, METRICS[key].digits, key) for key in ("susceptibility", "robustness")):
        rows = run_metrics[(run_metrics["metric"] == metric) & (run_metrics["method"] == "published")].set_index("scope")
        at = f", {rows['note'].iloc[0]}" if rows["note"].iloc[0] else ""
        found[f"{name} by the paper's formula{at}"] = [f"{r.value:.{digits}f} ± {r.se:.{digits}f}" for r in rows.itertuples()]
    return pd.DataFrame(found, index=rows.index.rename(None))


@exhibit.table(
    "companions",
    "Companions of S and R over all items, by run: how extreme ratings are for the room there is, the share of "
    "variation that is the persona's (ICC), S and noise relative to the room, fidelity to the base, and mass at "
    "both ends. Recommended estimators.",
)
def companions_table(study: Study, metrics: pd.DataFrame) -> pd.DataFrame:
    """What stands beside S and R on a bounded scale, one row a run, over all items."""
    wanted = ["extremity", "icc", "relative_susceptibility", "relative_noise", "fidelity", "endpoint_mass"]
    own = metrics[(metrics["scope"] == OVERALL) & metrics["metric"].isin(wanted)]
    named = own.assign(run=[study.run(f, v).name for f, v in zip(own["family"], own["variant"], strict=True)])
    wide = named.pivot_table(index="run", columns="metric", values="value", sort=False).reindex(columns=wanted)
    return wide.rename(columns=lambda name: name.replace("_", " ").replace("icc", "ICC")).rename_axis(columns=None).round(3)


@exhibit.table(
    "saturation",
    "Where ratings lie on the scale, by run: shares at both ends and at the top, and root mean square distances over "
    "groups of items of the profile without a persona, in scale points.",
)
def saturation_table(study: Study, saturation: pd.DataFrame) -> pd.DataFrame:
    """Endpoint mass, ceiling share and distances of every run, one row a run."""
    chosen = saturation[~saturation["measure"].str.startswith("share_") & saturation["condition"].isin(["persona", "self"])]
    chosen = chosen.assign(
        measure=[
            m.replace("_", " ") + (f" ({'personas' if c == 'persona' else 'self'})" if not m.startswith("distance") else "")
            for m, c in zip(chosen["measure"], chosen["condition"], strict=True)
        ],
        run=[study.run(f, v).name for f, v in zip(chosen["family"], chosen["variant"], strict=True)],
    )
    wide = chosen.pivot_table(index="run", columns="measure", values="value", sort=False)
    return wide.rename_axis(columns=None).round(3)


@exhibit.table(
    "profiles",
    "Answers without a persona, and of the base as hostile characters: mean rating by group of items in scale points, ± "
    "standard deviation over repetitions (over characters for the hostile ones).",
)
def profile_table(study: Study, profiles: pd.DataFrame) -> pd.DataFrame | None:
    """Profiles without a persona as a paper prints them, mean ± SD, with the hostile characters' profile of each family."""
    rows = []
    for family in study.file.families:
        for variant in family.variants:
            alone = mean_rows(profiles, family.key, variant.key, "self")
            if len(alone):
                rows.append((family.name, variant.name, *_cells(study, alone["mean"], alone["within_sd"])))
        hostile = mean_rows(profiles, family.key, family.base.key, "toxic")
        printed = printed_toxic(study, family.key)
        if len(hostile):
            rows.append((family.name, "hostile characters", *_cells(study, hostile["mean"], hostile["between_sd"])))
        elif printed:
            mean, spread = ({f: float(v[name]) for f, v in printed.items()} for name in ("mean", "between_sd"))
            rows.append((family.name, "hostile characters (printed)", *_cells(study, mean, spread)))
    if not rows:
        return None  # nobody was asked without a persona
    table = pd.DataFrame(rows, columns=["model", "variant", *study.instrument.foundations])
    return table.set_index(["model", "variant"])


def _cells(study: Study, mean: Mapping[str, float], spread: Mapping[str, float]) -> list[str]:
    return [f"{mean[f]:.2f} ± {spread[f]:.2f}" for f in study.instrument.foundations]
