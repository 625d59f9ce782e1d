"""The headlines of a study that can be tested, and the runs that each of them is about."""

from collections.abc import Iterable

from persona_collapse.study.study import Run
from persona_collapse.tables import headlines
from persona_collapse.tables.choices import Views
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.headlines import Headline
from persona_collapse.tables.run_statistics import Analysis


class Multiverse:
    """The headlines of a study that can be tested, and the views of the runs of each.

    Families whose sides cannot be compared are left out; each family may have personas of its own, none common to all.

    Attributes
    ----------
    sides : dict of Headline to list of Contrast
        One contrast a family.
    """

    def __init__(self, analysis: Analysis, guard: Guard) -> None:
        self.analysis, self.sides = analysis, dict[Headline, list[Contrast]]()
        for headline in headlines.headlines(analysis):
            usable = [contrast for contrast in headlines.sides(analysis, headline) if not guard.refusal(*contrast.runs)]
            usable = [contrast for contrast in usable if len(analysis.together(*contrast.runs).common.personas)]
            if usable and len(analysis.together(*every(usable)).common.personas):
                self.sides[headline] = usable
        self._all = every(contrast for found in self.sides.values() for contrast in found)
        self._found: dict[tuple[Run, ...], Views] = {}

    def views(self, headline: Headline) -> Views:
        """Views of the runs of a headline: those of all runs serve every headline that has the same personas and items."""
        runs = every(self.sides[headline])
        own, widest = (self.analysis.together(*some).common for some in (runs, self._all))
        key = self._all if own.same(widest) else runs
        if key not in self._found:
            self._found[key] = Views(self.analysis, list(key))
        return self._found[key]


def every(sides: Iterable[Contrast]) -> tuple[Run, ...]:
    """All runs of these contrasts, each once."""
    return tuple(dict.fromkeys(run for contrast in sides for run in contrast.runs))
