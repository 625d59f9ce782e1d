"""How many personas and repetitions reach a precision at the fewest requests, and what no number of repetitions can reach.

The standard error of the logarithm of a metric, about that of the metric in hundredths, follows
SE^2 = (A + B g(n)) / P for P personas and n repetitions: A is what personas differ by, B what ratings add.
"""

from collections.abc import Sequence
from math import ceil, inf, sqrt
from typing import NamedTuple

#: Fewest repetitions that say anything about noise, and most that a plan looks at.
FEWEST, MOST = 2, 50
#: Fewest personas a plan asks for: below, intervals hold less often than they say.
FEWEST_PERSONAS = 25
#: More personas than any design needs.
NO_LIMIT = 10**18


class Spread(NamedTuple):
    """Variance of the logarithm of a metric, times personas: A + B g(n)."""

    personas: float  #: A
    ratings: float  #: B
    degrees: bool  #: g(n) is 1/(n - 1) for metrics made of cell variances, else 1/n

    def per_rating(self, repetitions: float) -> float:
        """g(n); 0 for exact cells (method logprobs), written as infinite repetitions."""
        return 0.0 if repetitions == inf else 1 / (repetitions - self.degrees)


class Asking(NamedTuple):
    """What asking costs: how many questions a design means, how many requests they take, and what is to be saved."""

    items: int  #: of the questionnaire
    runs: int = 1
    also: int = 0  #: how often every item is asked besides, over all runs: without a persona, as hostile characters
    together: float = 1  #: repetitions of a cell that one request brings; infinite for exact cells (method logprobs)
    of_request: float = 1  #: what a request costs, in any unit
    of_rating: float = 0  #: what every rating that it brings costs besides

    def each(self, repetitions: float) -> int:
        """Requests a cell."""
        return 1 if repetitions == inf else ceil(repetitions / self.together)

    def requests(self, personas: int, repetitions: float) -> int:
        """Requests of all runs and conditions."""
        return self.items * (self.runs * personas + self.also) * self.each(repetitions)

    def cost(self, design: "Design") -> float:
        """What a design costs in the unit of `of_request`."""
        ratings = 1 if design.repetitions == inf else design.repetitions / self.each(design.repetitions)
        return design.requests * (self.of_request + self.of_rating * ratings)


class Design(NamedTuple):
    """A design and what it reaches; `repetitions` is infinite for exact cells, which take one request each."""

    personas: int
    repetitions: float
    requests: int  #: of all runs and conditions
    se: float  #: of the logarithm, so 0.04 is about 4 %; the largest of several metrics


#: From the twelve published runs: (metric, quantity), quantity `level` or `change` (paired, against the base).
TABLES = {
    ("susceptibility", "level"): Spread(0.21, 0.03, degrees=False),
    ("susceptibility_pooled", "level"): Spread(0.17, 0.01, degrees=False),
    ("within_sd", "level"): Spread(0.08, 0.59, degrees=False),
    ("within_rms", "level"): Spread(0.05, 0.12, degrees=True),
    ("susceptibility", "change"): Spread(0.14, 0.03, degrees=False),
    ("susceptibility_pooled", "change"): Spread(0.12, 0.02, degrees=False),
    ("within_sd", "change"): Spread(0.16, 1.33, degrees=False),
    ("within_rms", "change"): Spread(0.10, 0.26, degrees=True),
}
#: Metrics made of cell variances, for which g(n) = 1/(n - 1).
_OF_VARIANCES = frozenset({"within_rms", "robustness", "icc", "relative_noise"})


def from_pilot(metric: str, personas: int, repetitions: float, se: float, se_repeat: float) -> Spread:
    """Spread of a metric from a pilot run's own intervals.

    Parameters
    ----------
    metric : str
        Decides g(n).
    personas, repetitions
        Of the pilot; the mean number of ratings a cell if it varies, infinite for exact cells.
    se, se_repeat : float
        Standard errors A and B of the logarithm of the metric (of its logit for ICC); for a paired change that of the
        paired logarithm of the ratio, and the root of the runs' summed variances.

    Raises
    ------
    ValueError
        If the pilot has too few repetitions to tell A from B.
    """
    spread = Spread(0.0, 0.0, degrees=metric in _OF_VARIANCES)
    if repetitions == inf:  # exact cells: there is no rating noise
        return spread._replace(personas=personas * se**2)
    if repetitions < FEWEST:
        raise ValueError(
            f"planning: a pilot with {repetitions} repetitions; expected {FEWEST} or more, to tell noise from personas"
        )
    own = max(se**2 - se_repeat**2, 0.0)
    return spread._replace(personas=personas * own, ratings=personas * se_repeat**2 / spread.per_rating(repetitions))


def expected_se(spread: Spread, personas: int, repetitions: float) -> float:
    """SE of the logarithm of a metric for a design."""
    return sqrt((spread.personas + spread.ratings * spread.per_rating(repetitions)) / personas)


def floor(spread: Spread, personas: int) -> float:
    """SE that so many personas leave however often they are asked."""
    return sqrt(spread.personas / personas)


def plan(spreads: Sequence[Spread], target: float, asking: Asking, *, most_personas: int = 100) -> Design | None:
    """The cheapest design that reaches a target SE for every one of some metrics; None if there is none.

    Parameters
    ----------
    spreads : sequence of Spread
        One a metric, from `TABLES` or `from_pilot`.
    target : float
        SE of the logarithm: 0.05 for about 5 %.
    asking : Asking
        Says what is cheap: the fewest requests, unless it gives ratings a cost of their own.
    most_personas : int
        Personas there are.

    Raises
    ------
    ValueError
        If the target is not positive.
    """
    if not target > 0:
        raise ValueError(f"planning: target {target}; expected a positive standard error, such as 0.05 for 5 %")
    found = []
    for repetitions in (inf,) if asking.together == inf else range(FEWEST, MOST + 1):
        wanted = max(expected_se(spread, 1, repetitions) for spread in spreads) ** 2 / target**2
        # Less a rounding error, so that a target computed from a design finds that design again.
        personas = max(ceil(wanted - 1e-9), min(FEWEST_PERSONAS, most_personas))
        if personas <= most_personas:
            found.append(design(spreads, personas, repetitions, asking))
    # Of designs that cost the same the one with the fewest ratings.
    return min(found, key=lambda one: (asking.cost(one), one.personas * one.repetitions), default=None)


def design(spreads: Sequence[Spread], personas: int, repetitions: float, asking: Asking) -> Design:
    """What so many personas and repetitions cost and reach; arguments as for `plan`."""
    reached = max(expected_se(spread, personas, repetitions) for spread in spreads)
    return Design(personas, repetitions, asking.requests(personas, repetitions), reached)
