"""Variance components of a run, and Cronbach's alpha of each group of its items: what the questionnaire measures in it.

With d the cell mean less the item mean, F groups of k_f items and k the harmonic mean of the k_f: dbar_pf is the mean of d over
a group and dbar_p the unweighted mean of the group means. MS_p = F k sum_p dbar_p^2 / (P - 1), MS_pf = k sum_pf (dbar_pf -
dbar_p)^2 / ((P - 1)(F - 1)), MS_pi = sum (d - dbar_pf)^2 / ((P - 1)(Q - F)). Then persona = (MS_p - MS_pf) / F k, persona by
group = (MS_pf - MS_pi) / k, persona by item = MS_pi - mean v/n, and repetition = mean v. No component is cut at zero: an
estimate of a variance that is zero falls below it half of the time. Cronbach's alpha of a group is 1 - MS_pi / MS_p, both
inside that group.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics.moments import DUST, Parts
from persona_collapse.statistics.persona_jackknife import estimate, limits

#: The components, in the order of `Components`.
COMPONENTS = ("persona", "persona_group", "persona_item", "repetition")


class Components(NamedTuple):
    """Values with 95 % intervals for other personas, each (component,) in squared scale points; NaN for what does not exist."""

    value: np.ndarray
    lo: np.ndarray
    hi: np.ndarray


class Alpha(NamedTuple):
    """Cronbach's alpha of every group with its 95 % interval for other personas, each (group,); NaN where it does not exist.

    It is that of cell means of these n ratings: with more of them it would be a little higher.
    """

    value: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    items: np.ndarray  #: number of items of the group


def components(parts: Parts, groups: Sequence[str], turned: Sequence[bool]) -> Components:
    """Variance components of a run.

    Parameters
    ----------
    parts : Parts
        Of the run, without an empty cell.
    groups : sequence of str, one an item
        The group of each item. With a single group there is no persona-by-group component; with one item a group it cannot be
        told from persona by item, and neither exists.
    turned : sequence of bool, one an item
        Whether a high rating means little of what the group is about; such items are scored the other way round.

    Returns
    -------
    Components
        The interval is a leave-one-persona-out jackknife on the identity scale, as a component may lie below zero. Persona by
        item and repetition are NaN where an item has no cell with two ratings.
    """
    d, member = _keyed(parts, turned), _member(groups)
    number, items = len(member), len(groups)
    k = number / (1 / member.sum(axis=1)).sum()
    of_group = d @ (member / member.sum(axis=1)[:, None]).T  # (persona, group)
    of_persona = of_group.mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = number * k * _mean_square(parts, of_persona[:, None], 1)
        by_group = k * _mean_square(parts, of_group - of_persona[:, None], number - 1)
        by_item = _mean_square(parts, d - of_group @ member, items - number)
        if number == 1:
            persona, group = (between - by_item) / k, np.full_like(between, np.nan)
        else:
            persona, group = (between - by_group) / (number * k), (by_group - by_item) / k
        of_means = (parts.between - parts.anchor).mean(axis=1)
        z = np.stack([persona, group, by_item - of_means, parts.noise.mean(axis=1)], axis=-1)
    found = estimate(z, carried=False)
    return Components(found.value, *limits(found))


def alpha(parts: Parts, groups: Sequence[str], turned: Sequence[bool]) -> Alpha:
    """Cronbach's alpha of every group, in the order in which items name them; parameters as in `components`.

    NaN for a group of one item, and for one in which all personas have the same mean. The interval is a leave-one-persona-out
    jackknife on the scale of log(1 - alpha), so that it stays below 1.

    References
    ----------
    Cronbach, Psychometrika 16 (1951) 297: alpha = 1 - MS_residual / MS_persons (Hoyt 1941). The scale of the interval: Bonett,
    Journal of Educational and Behavioral Statistics 27 (2002) 335.
    """
    d, member = _keyed(parts, turned), _member(groups)
    ratios = []
    for own in member.astype(bool):
        mean = d[:, own].mean(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            persons = own.sum() * _mean_square(parts, mean, 1)
            rest = _mean_square(parts, d[:, own] - mean, int(own.sum()) - 1)
            ratios.append(np.log(np.where(persons > DUST, rest, np.nan)) - np.log(persons))
    found = estimate(np.stack(ratios, axis=-1), carried=False)
    lo, hi = limits(found)
    return Alpha(-np.expm1(found.value), -np.expm1(hi), -np.expm1(lo), member.sum(axis=1).astype(int))


def _keyed(parts: Parts, turned: Sequence[bool]) -> np.ndarray:
    """d (persona, item), of items that are scored the other way round with the other sign."""
    return parts.deviation * np.where(turned, -1, 1)


def _member(groups: Sequence[str]) -> np.ndarray:
    """Which items belong to each group (group, item), 1 or 0; groups in the order in which items name them."""
    return np.array([[group == one for one in groups] for group in dict.fromkeys(groups)], dtype=float)


def _mean_square(parts: Parts, contrasts: np.ndarray, df: int) -> np.ndarray:
    """Sum of squares over (P - 1) df of linear contrasts (persona, contrast) of cell means, with the mean 0 over personas.

    Of all personas and without each unit (1 + unit,); NaN without degrees of freedom.
    """
    if parts.units.alone:  # sums over contrasts first: without persona p they lose its own squares times P / (P - 1)
        own = (contrasts**2).sum(axis=1)
        personas, total = np.float64(len(own)), own.sum()
        without = (total - own * (personas / (personas - 1))) / (personas - 2)
        return np.concatenate([[total / (personas - 1)], without]) / (df or np.nan)
    return parts.units.products(contrasts, contrasts).sum(axis=1) / (df or np.nan)
