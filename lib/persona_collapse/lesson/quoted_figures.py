"""Published figures that the lesson quotes, as tables and as sentences computed from them; every one names its source."""

import pandas as pd

from persona_collapse.study.load_study import load_study
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run
from persona_collapse.tables import printed_figures

#: Files of figures, relative to the checkout: what the paper prints, and what follows from the ratings it publishes.
PRINTED = "params/published/arxiv-2605.12850.json"
RECOMPUTED = "params/published/recomputed.json"
#: How a source stands after a quoted figure.
PAPER = "arXiv 2605.12850"
_OWN = f"recomputed from the ratings of {PAPER}"
_VARIANTS = ["base", "secure", "insecure"]


def levels() -> pd.DataFrame:
    """S and R of the twelve published runs by the formulas of the lesson: model, variant, S, S_lo, S_hi, R, R_lo, R_hi, verdict.

    Limits are those of the 95 % interval for other personas; a base has no verdict.
    """
    found = {row["run"]: row for row in printed_figures.figures(RECOMPUTED)["levels"]["rows"]}
    rows = []
    for run in _runs():
        row = found[run.key]
        numbers = [*row["susceptibility"], *row["robustness"]]
        rows.append((run.family.name, run.variant.name, *numbers, row.get("verdict", "")))
    return pd.DataFrame(rows, columns=["model", "variant", "S", "S_lo", "S_hi", "R", "R_lo", "R_hi", "verdict"])


def levels_table() -> pd.DataFrame:
    """`levels` for reading, with variants as columns."""
    found = levels()
    texts = found.assign(
        S=[f"{r.S:.2f} [{r.S_lo:.2f}, {r.S_hi:.2f}]" for r in found.itertuples()],
        R=[f"{r.R:.2f} [{r.R_lo:.2f}, {r.R_hi:.2f}]" for r in found.itertuples()],
    )
    wide = texts.pivot(index="model", columns="variant", values=["S", "R"])
    return wide.reindex(columns=_VARIANTS, level="variant").rename_axis(index=None, columns=[None, None])


def levels_line() -> str:
    """What insecure and secure code did to S and R in the published families."""
    wide = levels().pivot(index="model", columns="variant", values=["S", "R"])
    up = {v: int((wide["S", v] > wide["S", "base"]).sum()) for v in _VARIANTS}
    down = {v: int((wide["R", v] < wide["R", "base"]).sum()) for v in _VARIANTS}
    s, r = (100 * (wide[metric, "insecure"] / wide[metric, "base"] - 1).mean() for metric in ("S", "R"))
    n = len(wide)
    return (
        f"After insecure code S rises in **{up['insecure']} of {n}** families and R falls in **{down['insecure']} of {n}**; on "
        f"average S changes by {s:+.0f} % and R by {r:+.0f} % ({_OWN}). But look at the control: after *secure* code, too, R "
        f"falls in {down['secure']} of {n} families, while S rises in {up['secure']}. So a low R alone does not show that "
        f"the insecure code did it."
    )


def verdicts_line() -> str:
    """What the report calls the published fine-tunes."""
    found = levels()
    said = []
    for variant in _VARIANTS[1:]:
        own = found[found["variant"] == variant]
        named = [
            f"*{verdict.replace(': ', ', ')}* in {len(rows)} of {len(own)} families ({', '.join(rows['model'])})"
            for verdict, rows in own.groupby("verdict", sort=False)
        ]
        said.append(f"After {variant} code the report's rules say {' and '.join(named)}.")
    return f"{' '.join(said)} In each family the insecure variant is held against its secure control ({_OWN})."


def printed_line() -> str:
    """S and R of the GPT-4o base and its insecure variant, and the averages, as the paper prints them."""
    printed = printed_figures.figures(PRINTED)["printed"]
    at = {(r["variant"], r["table"]): r["printed"] for r in printed
          if r["family"] == "gpt-4o" and r["metric"] in ("susceptibility", "robustness") and r["scope"] == OVERALL}  # fmt: skip
    mean = {r["metric"]: r["printed"] for r in printed if r["table"] == "abstract" and r["family"] == "mean"}
    return (
        f"For GPT-4o the paper prints R = {at['base', 'R']} at the base and {at['insecure', 'R']} after insecure code, S = "
        f"{at['base', 'S']} and {at['insecure', 'S']}; on average over families {_signed(mean['susceptibility_change_pct'])} % "
        f"for S and {_signed(mean['robustness_change_pct'])} % for R ({PAPER})."
    )


def repetitions() -> pd.DataFrame:
    """R of one published run from its first n repetitions, by the lesson's formula and the paper's: n, ours, the paper's."""
    table = pd.DataFrame(printed_figures.figures(RECOMPUTED)["repetitions"]["rows"])
    return table[["n", "robustness_recommended", "robustness"]].set_axis(["n", "ours", "the paper's"], axis=1)


def repetitions_line() -> str:
    """What the number of repetitions did to a published run."""
    table = repetitions().set_index("n")
    few, many = table.index[0], table.index[-1]
    ours, paper = table["ours"], table["the paper's"]
    return (
        f"The same {_name('repetitions')} ratings give R = {paper[few]:.1f} by the paper's formula from the first {few} "
        f"repetitions and {paper[many]:.1f} from all {many}: {paper[few] / paper[many]:.1f} times as much, of the same replies. "
        f"Ours gives {ours[few]:.1f} and {ours[many]:.1f} ({_OWN})."
    )


def stacks() -> pd.DataFrame:
    """S and R of one set of weights on two serving stacks, by the formulas of the lesson: stack, S, R."""
    table = pd.DataFrame(printed_figures.figures(RECOMPUTED)["stacks"]["rows"])
    return table[["stack", "susceptibility_recommended", "robustness_recommended"]].set_axis(["stack", "S", "R"], axis=1)


def stacks_line() -> str:
    """What the stack did to one set of weights, beside what fine-tuning did."""
    one, other = stacks().itertuples(index=False)
    same = levels().query("model == 'Qwen3-235B'").set_index("variant")["R"]
    return (
        f"Nobody fine-tuned anything between these two rows, and yet R is {one.R:.2f} on {one.stack} and {other.R:.2f} on "
        f"{other.stack} ({_OWN}). The published fine-tunes of this family were served by {other.stack}, the published base by "
        f"{one.stack}: from {one.R:.2f} the insecure variant's {same['insecure']:.2f} is a fall by "
        f"{100 * (1 - same['insecure'] / one.R):.0f} %, from {other.R:.2f} by {100 * (1 - same['insecure'] / other.R):.0f} %."
    )


def anchors() -> pd.DataFrame:
    """Where the variance of the twelve published runs lies: model, variant, extremity, anchor, ends (shares, 0 to 1).

    ``extremity``: 0 if answers keep to the middle that their mean allows, 1 if they use nothing but the two ends of the scale.
    ``anchor``: the share of variance that personas explain (ICC). ``ends``: the share of ratings of 0 and 5.
    """
    runs = printed_figures.figures(PRINTED)["runs"]
    names = {"extremity": "extremity", "anchor": "icc", "ends": "endpoint_mass"}
    return pd.DataFrame(
        [
            {"model": run.family.name, "variant": run.variant.name}
            | {column: runs[run.key]["distribution"][name] for column, name in names.items()}
            for run in _runs()
        ]
    )


def anchors_line() -> str:
    """Which of larger steps and a weaker anchor the published insecure variants show beyond their controls."""
    wide = anchors().pivot(index="model", columns="variant", values=["extremity", "anchor"])
    n = len(wide)
    weaker = int((wide["anchor", "insecure"] < wide["anchor", "base"]).sum())
    control = int((wide["anchor", "secure"] < wide["anchor", "base"]).sum())
    beyond = int((wide["anchor", "insecure"] < wide["anchor", "secure"]).sum())
    steps = int((wide["extremity", "insecure"] > wide["extremity", "secure"]).sum())
    return (
        f"Against the base the anchor is weaker after insecure code in {weaker} of {n} families, and after secure code in "
        f"{control} of {n}. Beyond the control it is weaker in only {beyond} of {n}, while the steps are larger in {steps} of "
        f"{n} ({_OWN}). Much of what looks like lost steadiness is the same wavering, between more extreme answers."
    )


def _runs() -> list[Run]:
    """The published runs, alternates left out, in the order of the study of the paper's ratings."""
    return [run for run in load_study("published", files=False).runs if run.variant.role != "alternate"]


def _name(entry: str) -> str:
    key = printed_figures.figures(RECOMPUTED)[entry]["run"]
    return next(run.name for run in _runs() if run.key == key)


def _signed(printed: str) -> str:
    return printed if printed.startswith("-") else f"+{printed}"
