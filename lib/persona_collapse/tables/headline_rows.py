"""Rows of headlines.csv: every headline with its p values, over all headlines and over all of its choices."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from persona_collapse.statistics import wider_intervals
from persona_collapse.statistics.exchanged import Exchanged, exchanges, joint_p
from persona_collapse.statistics.moments import Parts
from persona_collapse.study.study import Run
from persona_collapse.tables import headlines
from persona_collapse.tables.choices import ITEM, Choice, Look, Views
from persona_collapse.tables.contrast import CHANGE, Contrast
from persona_collapse.tables.headlines import Headline, Values
from persona_collapse.tables.multiverse import Multiverse
from persona_collapse.tables.published_contrasts import as_numbers
from persona_collapse.tables.validity import NO_CHOICE, averaged, hangs_on_n
from persona_collapse.vocabulary import RECOMMENDED

#: Columns of headlines.csv. `family` is a key, or `mean` for the mean over `families`; `agree` of `choices` have its verdict.
COLUMNS = (
    "kind", "variant", "headline", "family", "families", "quantity", "value", "lo", "hi", "verdict", "p", "p_holm", "adjusted",
    "choices", "agree", "median", "p_joint",
)  # fmt: skip


def headlines_table(multiverse: Multiverse, validity: pd.DataFrame) -> pd.DataFrame:
    """Every headline: its recommended number, p alone and by Holm over all headlines, and what all choices together say.

    The joint test exchanges, in each draw, the two runs that are compared for about half of the personas, the same ones in
    every family, and takes the median over all choices; p is the share of draws, the study itself included, whose median lies
    at least as far from no change. A serving stack is no choice here: it brings other ratings.
    """
    rows = []
    for headline, sides in multiverse.sides.items():
        own = validity[(validity["kind"] == headline.kind) & (validity["variant"] == headline.variant)]
        own = own[own["family"] == ("mean" if len(sides) > 1 else sides[0].variant.family.key)]
        first = own[own["group"] == RECOMMENDED].iloc[0]
        views, counted = multiverse.views(headline), counted_once(own)
        rows.append((
            headline.kind, headline.variant, headline.topic, first["family"], len(sides), first["quantity"], first["value"],
            first["lo"], first["hi"], first["verdict"], _p(headline, sides, views), np.nan, 0, len(counted),
            int(counted["agrees"].sum()), _median(counted), joint_p(medians(headline, sides, views)),
        ))  # fmt: skip
    found = as_numbers(pd.DataFrame(rows, columns=list(COLUMNS)))
    found["p_holm"] = wider_intervals.holm(found["p"].to_numpy(float))
    found["adjusted"] = int(found["p"].notna().sum())
    return found


def counted_once(rows: pd.DataFrame) -> pd.DataFrame:
    """The choices of a headline that have an interval, those that leave out one item as the one that agrees least.

    Of these, one whose verdict is another; among several such, and where there is none, the one farthest from the others.
    """
    chosen = rows[~rows["group"].isin(NO_CHOICE) & np.isfinite(rows["lo"])]
    items = chosen[chosen["group"] == ITEM]
    if len(items) < 2:
        return chosen
    apart = (items["value"] - items["value"].median()).abs()
    worst = apart[~items["agrees"]] if not items["agrees"].all() else apart
    return chosen.drop(index=items.index.drop(worst.idxmax()))


def medians(headline: Headline, sides: Sequence[Contrast], views: Views) -> np.ndarray:
    """Median over all choices of a headline's quantity, in the mean over families (1 + draw,): as it is, then exchanged.

    Changes are logarithms of ratios, which an exchange of the two runs turns into their opposite.
    """
    taken = exchanges(next(iter(views.parts.values())).units)
    look, unlike = Look(views, lambda parts: _exchanged(parts, sides, taken)), views.unlike(sides)
    each = [
        ways
        for choice in look.choices(headline)
        if not (unlike and hangs_on_n(choice))
        for ways in _ways(choice, _mean(headline, choice.metric, sides, choice.values))
    ]
    if len(sides) > 1:
        for left in sides:
            kept = [contrast for contrast in sides if contrast is not left]
            each.append(_mean(headline, headline.metric, kept, look.recommended)[:, 0])
    found = np.stack([values for values in each if np.isfinite(values[0])] or [np.full(len(taken) + 1, np.nan)])
    known = np.isfinite(found).any(axis=0)
    return np.nanmedian(np.where(known, found, 0), axis=0) * np.where(known, 1, np.nan)


def _exchanged(parts: dict[Run, Parts], sides: Sequence[Contrast], taken: np.ndarray) -> dict[Run, Parts]:
    found: dict[Run, Parts] = {}
    for contrast in sides:
        own, other = parts[contrast.variant], parts[contrast.against]
        found |= {contrast.variant: Exchanged(own, other, taken), contrast.against: Exchanged(other, own, taken)}
        if contrast.base not in found:
            found[contrast.base] = Exchanged(parts[contrast.base], parts[contrast.base], taken)
    return found


def _mean(headline: Headline, metric: str, sides: Sequence[Contrast], values: Values) -> np.ndarray:
    """Mean over families (1 + draw, way), of changes as logarithms."""
    if headline.quantity != CHANGE:
        return averaged(headline, metric, sides, values)
    with np.errstate(invalid="ignore"):
        return np.mean([headlines.log_ratio(contrast, metric, values) for contrast in sides], axis=0)


def _ways(choice: Choice, found: np.ndarray) -> Iterator[np.ndarray]:
    """Each way to look (1 + draw,), those that leave out one item as their two extremes."""
    items = np.array([group == ITEM for group, _ in choice.ways])
    yield from found[:, ~items].T
    if items.any():
        yield from (found[:, items].min(axis=1), found[:, items].max(axis=1))


def _p(headline: Headline, sides: Sequence[Contrast], views: Views) -> float:
    """Two-sided p value of the recommended number, on the scale of its interval."""
    values = views.as_asked.recommended
    if len(sides) == 1 and headline.quantity == CHANGE:
        return headlines.p_value(headlines.log_ratio(sides[0], headline.metric, values))
    return headlines.p_value(averaged(headline, headline.metric, sides, values))


def _median(counted: pd.DataFrame) -> float:
    return float(counted["value"].median()) if len(counted) else np.nan
