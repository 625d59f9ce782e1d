"""Does a headline hold in another wording? A sentence for each, and the numbers as a table, computed from wordings.csv."""

import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.study import Study
from persona_collapse.study.wording import combinations
from persona_collapse.text import safe

_SHOWN = {"susceptibility": "S", "within_rms": "noise"}
_NAMED = {"susceptibility": "S", "within_rms": "Noise"}
_FACTORS = {"wording": "wording", "scale": "direction of the scale", "persona_in": "message with the persona"}


@exhibit.finding("wordings")
def wordings(wordings: pd.DataFrame | None, study: Study) -> str:
    """Whether the changes of S and noise have the same sign in every wording, and how far they differ; from wordings.csv."""
    if wordings is None:
        return "The wording does not vary in this study."
    lines = []
    for (variant, family), rows in _headlines(wordings):
        who = "" if family == "mean" else f" ({next(safe(f.name) for f in study.file.families if f.key == family)})"
        for (factor, metric), own in rows.groupby(["factor", "metric"], sort=False):
            if metric in _SHOWN:
                what = f"{_NAMED[str(metric)]} under {safe(str(variant))}{who}, by {_FACTORS[str(factor)]}"
                lines.append(f"- **{what}**: {_held(own, study)}")
    return "\n".join(lines)


@exhibit.table("wordings", "Changes against the base in each wording, with their difference from the change in the first one.")
def table(wordings: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """wordings.csv for reading; None where the wording does not vary."""
    if wordings is None:
        return None
    rows = wordings[wordings["metric"].isin(list(_SHOWN))]
    names = {family.key: family.name for family in study.file.families} | {"mean": "mean over families"}
    return pd.DataFrame({
        "variant": rows["variant"], "family": rows["family"].map(names), "factor": rows["factor"].map(_FACTORS),
        "level": rows["level"], "metric": rows["metric"].map(_SHOWN),
        "change (%)": [_interval(r.value, r.lo, r.hi) for r in rows.itertuples()],
        "difference (points)": [_interval(r.difference, r.difference_lo, r.difference_hi) for r in rows.itertuples()],
    })  # fmt: skip


def _headlines(table: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Rows of each variant: the mean over families where there are several, else those of its family."""
    found = []
    for variant, own in table.groupby("variant", sort=False):
        mean = own[own["family"] == "mean"]
        for family, rows in [("mean", mean)] if len(mean) else own.groupby("family", sort=False):
            found.append(((str(variant), str(family)), rows))
    return found


def _held(own: pd.DataFrame, study: Study) -> str:
    """Whether the change is told, with one sign, at every level, and how far the levels differ."""
    if own["value"].isna().any():
        at, enough = ", ".join(safe(str(row.level)) for row in own.itertuples() if pd.isna(row.value)), _enough(study)
        asked = f"; two ratings at each combination of levels do it (`repetitions: {enough}`)" * bool(enough)
        return f"it cannot be told whether the change holds, as it does not exist at {at}{asked}."
    each = "; ".join(f"{_interval(r.value, r.lo, r.hi)} % at {safe(str(r.level))}" for r in own.itertuples())
    if own["lo"].isna().any():
        return f"{each}. It cannot be told at every level, as an interval is missing."
    if (own["lo"] > 0).all() or (own["hi"] < 0).all():
        said = f"the change holds at every level: {each}."
    elif ((own["lo"] > 0).any() and (own["hi"] < 0).any()) or ((own["lo"] > 0) | (own["hi"] < 0)).any():
        said = f"the change does not hold at every level: {each}."
    else:
        said = f"no level shows a change: {each}."
    apart = own[(own["difference_lo"] > 0) | (own["difference_hi"] < 0)]
    apart_by = [
        (_interval(r.difference, r.difference_lo, r.difference_hi), safe(str(r.level))) for r in own.iloc[1:].itertuples()
    ]
    beside = "; ".join(f"{found} points at {level}" for found, level in apart_by)
    told = "differs" if len(apart) else "cannot be told to differ"
    return f"{said} Its size {told} from that at {safe(str(own.iloc[0]['level']))}: {beside}."


def _enough(study: Study) -> int | None:
    """Repetitions that give every combination of levels the two ratings which tell noise; None where there are as many."""
    enough = 2 * len(combinations(study.file.protocol.vary))
    return enough if study.file.protocol.repetitions < enough else None


def _interval(value: float, lo: float, hi: float) -> str:
    return "" if pd.isna(value) else f"{value:+.0f}" + ("" if pd.isna(lo) else f" [{lo:.0f}, {hi:.0f}]")
