"""What the lesson computes: ratings small enough for a blackboard, a model carried to collapse, studies of many sizes."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd

from persona_collapse.simulated import response_model
from persona_collapse.statistics import published_estimators
from persona_collapse.statistics.estimates import robustness, susceptibility
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.personas import Persona
from persona_collapse.study.respondent_parameters import Respondent, between, load_respondent
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.study.study import Run, Study
from persona_collapse.study.study_file import Family
from persona_collapse.tables import saturation

#: Ratings made up for the blackboard: (item, persona) -> one rating a repetition.
BLACKBOARD = {
    ("Item 1", "nurse"): (1, 3),
    ("Item 1", "colonel"): (5, 5),
    ("Item 2", "nurse"): (1, 2),
    ("Item 2", "colonel"): (0, 0),
}
#: Where the small studies of `small_studies` draw their personas.
_SEED = 45


def readable(prompt: str, width: int = 96) -> str:
    """A prompt with its long lines broken between words, as a screen would break them anywhere."""
    return "\n".join(textwrap.fill(line, width, drop_whitespace=False, replace_whitespace=False) for line in prompt.split("\n"))


def blackboard() -> pd.DataFrame:
    """`BLACKBOARD` as a table: a row a cell (item, persona), a column a repetition."""
    index = pd.MultiIndex.from_tuples(BLACKBOARD, names=["item", "persona"])
    return pd.DataFrame(list(BLACKBOARD.values()), index=index, columns=pd.Index([1, 2], name="repetition"))


def by_hand(ratings: pd.DataFrame) -> pd.DataFrame:
    """Mean and variance (ddof = 1) over the repetitions of each cell of `blackboard`."""
    return pd.DataFrame({"mean": ratings.mean(axis=1), "variance": ratings.var(axis=1)}).round(3)


def variance_steps(values: Sequence[float], what: str) -> str:
    """The sample variance of a few numbers, written out as a formula for the blackboard."""
    return rf"$$v\,(\text{{{what}}}) = {_variance(values)} = {np.var(values, ddof=1):g}$$"


def spread_steps(cells: pd.DataFrame, repetitions: int, what: str) -> str:
    """The SD over the personas of one item, the luck in their means taken off, written out; `cells` is `by_hand` of that item."""
    means, variances = cells["mean"].tolist(), cells["variance"].tolist()
    between = float(np.var(means, ddof=1))
    luck = float(np.mean(variances)) / repetitions
    parts = " + ".join(rf"\frac{{{v:g}}}{{{repetitions}}}" for v in variances)
    return (
        rf"$$V = {_variance(means)} = {between:g}, \qquad L = \frac{{1}}{{{len(means)}}}\left({parts}\right) = {luck:g}, \qquad "
        rf"\mathrm{{SD}}\,(\text{{{what}}}) = \sqrt{{{between:g} - {luck:g}}} = {np.sqrt(between - luck):g}$$"
    )


def _variance(values: Sequence[float]) -> str:
    mean = float(np.mean(values))
    squares = " + ".join(f"({value:g} - {mean:g})^2" for value in values)
    return rf"\frac{{{squares}}}{{{len(values)} - 1}}"


def measured(ratings: Ratings, run: Run) -> str:
    """S and R of a run with their intervals, as a sentence."""
    counts = ratings.counts(run)
    s, r = susceptibility(counts), robustness(counts)
    personas, items, _ = counts.shape
    return (
        f"{personas} personas and {items} items: **S = {s.value:.2f}** [{s.lo:.2f}, {s.hi:.2f}], in points of the scale; "
        f"**R = {r.value:.2f}** [{r.lo:.2f}, {r.hi:.2f}]."
    )


def carry(study: Study, family: str, steps: int = 11) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A simulated model carried from its base to its harmful variant in equal steps.

    Returns
    -------
    steps : DataFrame
        share (0 to 1), S, R of each step, on freshly drawn ratings.
    profiles : DataFrame
        share, foundation, mean: answers without a persona at each step.
    """
    of = _family(study, family)
    harmful = next(v for v in of.variants if v.role == "harmful")
    start, end = (load_respondent(v.figures or "", study.instrument) for v in (of.base, harmful))
    levels, profiles = [], []
    for share in np.linspace(0, 1, steps).round(3).tolist():
        respondent = between(start, end, share)
        persona, alone = (_counts(study, respondent, of.key, study.deck(c), condition=c) for c in ("persona", "self"))
        levels.append((share, susceptibility(persona).value, robustness(persona).value))
        found = saturation.profile(alone, study.instrument)
        profiles += [(share, row.foundation, row.mean) for row in found.itertuples(index=False)]
    return (
        pd.DataFrame(levels, columns=["share", "S", "R"]),
        pd.DataFrame(profiles, columns=["share", "foundation", "mean"]),
    )


def carried(steps: pd.DataFrame, profiles: pd.DataFrame, study: Study) -> str:
    """What happened on the way of `carry`, as a sentence."""
    first, last = steps.iloc[0], steps.iloc[-1]
    alone = profiles.groupby("share")["mean"].mean()
    top = study.instrument.scale[1]
    return (
        f"From base to collapsed, S goes from {first['S']:.2f} to **{last['S']:.2f}** and R from {first['R']:.1f} "
        f"to **{last['R']:.1f}**; without a persona the mean rating goes from {alone.iloc[0]:.2f} to **{alone.iloc[-1]:.2f}** "
        f"of {top}."
    )


def more_repetitions(study: Study, family: str, numbers: Sequence[int] = (2, 3, 5, 10, 20)) -> pd.DataFrame:
    """R of a family's base and harmful variant from so many repetitions, with the whole deck, by the formula of the lesson
    ("ours") and by the paper's: variant, n, formula, R.

    The same slots are drawn alike for every number, so that only the number differs.
    """
    rows = []
    for variant in _family(study, family).variants:
        if variant.role not in ("base", "harmful"):
            continue
        respondent = load_respondent(variant.figures or "", study.instrument)
        for n in numbers:
            counts = _counts(study, respondent, family, study.whole_deck(), repetitions=n)
            paper = published_estimators.published(counts, study.instrument.categories, scope_matrix(study.instrument))
            rows.append((variant.name, n, "ours", robustness(counts).value))
            rows.append((variant.name, n, "the paper's", float(paper.robustness[0])))
    return pd.DataFrame(rows, columns=["variant", "n", "formula", "R"])


def repeated(table: pd.DataFrame) -> str:
    """What the number of repetitions did to R in `more_repetitions`, as a sentence."""
    few, many = table["n"].min(), table["n"].max()
    said = []
    for variant, own in table.groupby("variant", sort=False):
        at = own.set_index(["formula", "n"])["R"]
        paper, ours = at["the paper's"], at["ours"]
        said.append(
            f"Of the {variant} respondent R by the paper's formula is {paper[few]:.1f} from {few} repetitions and "
            f"{paper[many]:.1f} from {many}; by ours it is {ours[few]:.1f} and {ours[many]:.1f}."
        )
    return " ".join(said) + " Nothing about the respondents differs, only how often they were asked."


def small_studies(
    study: Study, family: str, sizes: Sequence[int] = (10, 25, 50), times: int = 12
) -> tuple[pd.DataFrame, float]:  # fmt: skip
    """Many small studies of one simulated base, each with personas drawn from the deck, and S of the whole deck.

    Returns
    -------
    studies : DataFrame
        personas, study (from 1), S, lo, hi: S with its 95 % interval for other personas.
    whole : float
        S of all personas of the deck.
    """
    respondent = load_respondent(_family(study, family).base.figures or "", study.instrument)
    counts = _counts(study, respondent, family, study.whole_deck())
    rng = np.random.default_rng(_SEED)
    rows = []
    for size in sizes:
        for number in range(1, times + 1):
            own = counts[rng.choice(len(counts), size, replace=False)]
            rows.append((size, number, *susceptibility(own)))
    return pd.DataFrame(rows, columns=["personas", "study", "S", "lo", "hi"]), susceptibility(counts).value


def narrowed(studies: pd.DataFrame, whole: float) -> str:
    """What the number of personas did to the intervals of `small_studies`, as a sentence."""
    width = (studies["hi"] - studies["lo"]).groupby(studies["personas"]).mean()
    few, many = width.index.min(), width.index.max()
    holds = int(((studies["lo"] <= whole) & (whole <= studies["hi"])).sum())
    times, narrower, root = many / few, width[few] / width[many], np.sqrt(many / few)
    more = " An interval from few personas is wider still, as they hardly tell how much people differ." if narrower > root else ""
    return (
        f"The intervals are {width[few]:.2f} wide with {few} personas and {width[many]:.2f} with {many}: {times:g} times the "
        f"personas, {narrower:.1f} times narrower. The square root of {times:g} is {root:.1f}.{more} {holds} of {len(studies)} "
        f"intervals hold the S of all personas, {whole:.2f}; 95 % of them would be {0.95 * len(studies):.0f}."
    )


def _family(study: Study, key: str) -> Family:
    return next(f for f in study.file.families if f.key == key)


def _counts(
    study: Study, respondent: Respondent, run: str, deck: Sequence[Persona] | None, *,
    condition: str = "persona", repetitions: int = 10,
) -> np.ndarray:  # fmt: skip
    """Freshly drawn ratings of a respondent as counts."""
    chances = response_model.cell_probabilities(respondent, study.instrument, deck)
    drawn = response_model.draw(
        chances, seed=study.file.seed, run=run, condition=condition, personas=deck, instrument=study.instrument,
        repetitions=repetitions,
    )  # fmt: skip
    return np.stack([(drawn == category).sum(axis=-1) for category in study.instrument.categories], axis=-1)
