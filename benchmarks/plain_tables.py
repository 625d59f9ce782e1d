"""The published method as a plain script: files in, metrics.csv and contrasts.csv out, with pandas and numpy as they come.

    python plain_tables.py folder out family/variant=file ...

Written from the paper's formulas for `process_speed.py` to run beside ours; it shares no code with the library. S is the mean
over items of the SD over personas of cell means, within_sd the mean of cell SDs, R its inverse, each overall and by foundation.
A standard error adds 2000 draws of personas and 400 draws of the ratings in every cell in quadrature.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

FOUNDATIONS = ("Harm/Care", "Fairness/Reciprocity", "In-group/Loyalty", "Authority/Respect", "Purity/Sanctity")
PERSONA_DRAWS, RESPONSE_DRAWS = 2000, 400


def metrics(path: Path, rng: np.random.Generator) -> list[tuple[str, str, float, float]]:
    """Scope, metric, value and standard error of one run."""
    table = pd.read_csv(path)
    table = table[table["rating"] >= 0]
    cells = table.groupby(["persona_id", "question_id"])["rating"]
    mean, sd = cells.mean().unstack(), cells.std(ddof=1).fillna(0).unstack()
    whole = mean.notna().all(axis=1)
    mean, sd = mean[whole], sd[whole]
    kept = table[table["persona_id"].isin(mean.index)]
    own = [ratings.to_numpy() for _, ratings in kept.groupby(["persona_id", "question_id"])["rating"]]
    drawn = [ratings[rng.integers(len(ratings), size=(RESPONSE_DRAWS, len(ratings)))] for ratings in own]
    shape = (*mean.shape, RESPONSE_DRAWS)
    means = np.array([draw.mean(axis=1) for draw in drawn]).reshape(shape)
    sds = np.array([draw.std(axis=1, ddof=1) if draw.shape[1] > 1 else np.zeros(len(draw)) for draw in drawn]).reshape(shape)
    picks = rng.integers(len(mean), size=(PERSONA_DRAWS, len(mean)))
    found = []
    for scope in ("overall", *FOUNDATIONS):
        items = [q for q in range(mean.shape[1]) if scope in ("overall", FOUNDATIONS[q % 5])]
        m, s = mean.to_numpy()[:, items], sd.to_numpy()[:, items]
        personas = np.array([(m[pick].std(axis=0, ddof=1).mean(), s[pick].mean()) for pick in picks])
        answers = means[:, items].std(axis=0, ddof=1).mean(axis=0), sds[:, items].mean(axis=(0, 1))
        se_s = np.hypot(personas[:, 0].std(ddof=1), answers[0].std(ddof=1))
        se_sd = np.hypot(personas[:, 1].std(ddof=1), answers[1].std(ddof=1))
        within = s.mean()
        found.append((scope, "susceptibility", m.std(axis=0, ddof=1).mean(), se_s))
        found.append((scope, "within_sd", within, se_sd))
        found.append((scope, "robustness", 1 / within, se_sd / within**2))
    return found


def contrasts(levels: pd.DataFrame) -> pd.DataFrame:
    """Changes against the base, excesses of insecure over secure, and their means over families."""
    rows = []
    for (family, scope, metric), group in levels.groupby(["family", "scope", "metric"], sort=False):
        at = group.set_index("variant")[["value", "se"]]
        base, base_se = at.loc["base"]
        for variant in at.index.drop("base"):
            value, se = at.loc[variant]
            change_se = 100 * np.hypot(se / base, value * base_se / base**2)
            rows.append((family, variant, "", scope, metric, "change_pct", 100 * (value - base) / base, change_se))
        if {"secure", "insecure"} <= set(at.index):
            (one, one_se), (other, other_se) = at.loc["insecure"], at.loc["secure"]
            se = 100 * np.sqrt((one_se**2 + other_se**2) / base**2 + ((one - other) * base_se / base**2) ** 2)
            rows.append((family, "insecure", "secure", scope, metric, "excess_pp", 100 * (one - other) / base, se))
    columns = ["family", "variant", "control", "scope", "metric", "quantity", "value", "se"]
    table = pd.DataFrame(rows, columns=columns)
    named = table[table["variant"].isin(["secure", "insecure"])]
    means = named.groupby(["variant", "control", "scope", "metric", "quantity"], sort=False, as_index=False)["value"].mean()
    return pd.concat([table, means.assign(family="mean")], ignore_index=True)


def main() -> None:
    """Read the files, write the two tables."""
    folder, out, *runs = sys.argv[1:]
    rng, rows = np.random.default_rng(1), []
    for run in runs:
        name, _, file = run.partition("=")
        family, _, variant = name.partition("/")
        rows += [(family, variant, *row) for row in metrics(Path(folder) / file, rng)]
    levels = pd.DataFrame(rows, columns=["family", "variant", "scope", "metric", "value", "se"])
    levels.to_csv(Path(out) / "metrics.csv", index=False)
    contrasts(levels).to_csv(Path(out) / "contrasts.csv", index=False)


if __name__ == "__main__":
    main()
