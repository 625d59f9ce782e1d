"""A contrast: which runs of a family a change or an excess compares, and how such numbers are worked out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from persona_collapse.statistics import persona_jackknife, repeat_interval
from persona_collapse.study.study import Run

#: Quantities of contrasts.csv: against the base in percent of it, and beyond the matched control in points of the base.
CHANGE, EXCESS = "change_pct", "excess_pp"


class Arithmetic(NamedTuple):
    """The functions that make a quantity of the statistics of its runs: of one family, and the mean over families."""

    one: Callable[..., persona_jackknife.Interval]
    one_repeat: Callable[..., repeat_interval.Repeat]
    mean: Callable[[Any], persona_jackknife.Interval]
    mean_repeat: Callable[[Any], repeat_interval.Repeat]


HOW = {
    CHANGE: Arithmetic(
        persona_jackknife.change, repeat_interval.change, persona_jackknife.mean_change, repeat_interval.mean_change
    ),
    EXCESS: Arithmetic(
        persona_jackknife.excess, repeat_interval.excess, persona_jackknife.mean_excess, repeat_interval.mean_excess
    ),
}


class Contrast(NamedTuple):
    """A variant beside the base of its family, or, where it is about a matched control, beyond that control."""

    variant: Run
    base: Run
    control: Run | None = None

    @property
    def quantity(self) -> str:
        """What it is called in contrasts.csv."""
        return EXCESS if self.control else CHANGE

    @property
    def runs(self) -> tuple[Run, ...]:
        """Its runs in the order in which `Arithmetic` takes their statistics: variant, control where there is one, base."""
        return (self.variant, self.control, self.base) if self.control else (self.variant, self.base)

    @property
    def against(self) -> Run:
        """The run that the variant is set beside: the control where there is one, else the base."""
        return self.control or self.base

    @property
    def key(self) -> tuple[str, str, str]:
        """Keys of family, variant and control; the last is empty for a change."""
        return self.variant.family.key, self.variant.variant.key, self.control.variant.key if self.control else ""
