"""Published figures that the lesson quotes, as tables and as sentences computed from them; every one names its source."""

import pandas as pd

from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run, load_study
from persona_collapse.tables import printed_figures

#: Files of figures, relative to the checkout: what the paper prints, and what follows from the ratings it publishes.
PRINTED = "params/published/arxiv-2605.12850.json"
RECOMPUTED = "params/published/recomputed.json"
#: How a source stands after a quoted figure.
PAPER = "arXiv 2605.12850"
_OWN = f"recomputed from the ratings of {PAPER}"


def levels() -> pd.DataFrame:
    """S and R of the twelve published runs as the paper prints them: model, variant, S, S_se, R, R_se."""
    at = {
        (row["family"], row["variant"], row["metric"]): float(row["printed"])
        for row in printed_figures.figures(PRINTED)["printed"]
        if row["table"] in ("S", "R") and row["scope"] == OVERALL
    }
    columns = {"S": "susceptibility", "S_se": "susceptibility_se", "R": "robustness", "R_se": "robustness_se"}
    return pd.DataFrame(
        [
            {"model": run.family.name, "variant": run.variant.name}
            | {column: at[run.family.key, run.variant.key, metric] for column, metric in columns.items()}
            for run in _runs()
        ]
    )


def levels_table(models: list[str] | None = None) -> pd.DataFrame:
    """`levels` for reading, with variants as columns; `models` (default: all) are labels such as GPT-4o."""
    found = levels()
    found = found[found["model"].isin(models)] if models else found
    texts = found.assign(
        S=[f"{r.S:.2f} ± {r.S_se:.2f}" for r in found.itertuples()], R=[f"{r.R:.2f} ± {r.R_se:.2f}" for r in found.itertuples()]
    )
    wide = texts.pivot(index="model", columns="variant", values=["S", "R"])
    return wide.reindex(columns=["base", "secure", "insecure"], level="variant").rename_axis(index=None, columns=[None, None])


def levels_line() -> str:
    """What insecure and secure code did to S and R in the published families."""
    wide = levels().pivot(index="model", columns="variant", values=["S", "R"])
    up = {v: int((wide["S", v] > wide["S", "base"]).sum()) for v in ("secure", "insecure")}
    down = {v: int((wide["R", v] < wide["R", "base"]).sum()) for v in ("secure", "insecure")}
    mean = {r["metric"]: r["printed"] for r in printed_figures.figures(PRINTED)["printed"] if r["table"] == "abstract"
            and r["family"] == "mean"}  # fmt: skip
    n = len(wide)
    return (
        f"After insecure code S rises in **{up['insecure']} of {n}** families and R falls in **{down['insecure']} of {n}**; on "
        f"average {_signed(mean['susceptibility_change_pct'])} % and {_signed(mean['robustness_change_pct'])} % of the base "
        f"({PAPER}, abstract). But look at the control: after *secure* code, too, R falls in {down['secure']} of {n} families, "
        f"while S rises in {up['secure']}. So a low R alone does not show that the insecure code did it."
    )


def repetitions() -> pd.DataFrame:
    """S and R of one published run from its first n repetitions: n, S, R."""
    return pd.DataFrame(printed_figures.figures(RECOMPUTED)["repetitions"]["rows"]).rename(
        columns={"susceptibility": "S", "robustness": "R"}
    )


def repetitions_line() -> str:
    """What the number of repetitions did to a published run."""
    table = repetitions().set_index("n")
    few, many = table.index[0], table.index[-1]
    ratio, shift = table["R"][few] / table["R"][many], 100 * (table["S"][few] / table["S"][many] - 1)
    return (
        f"The same {_name('repetitions')} ratings give R = {table['R'][few]:.1f} from the first {few} repetitions and "
        f"{table['R'][many]:.1f} from all {many}: {ratio:.1f} times as much, from the same replies. S moves by {shift:.1f} % "
        f"({_OWN})."
    )


def stacks() -> pd.DataFrame:
    """S and R of one set of weights on two serving stacks: stack, S, R."""
    table = pd.DataFrame(printed_figures.figures(RECOMPUTED)["stacks"]["rows"])
    return table.drop(columns="run").rename(columns={"susceptibility": "S", "robustness": "R"})


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
