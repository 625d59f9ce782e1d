"""What the files of figures and tables are called: by what they show."""

from collections.abc import Mapping

from persona_collapse.export.latex import label

#: Exhibits by the beginning of their id, the longest that fits; {of} is its rest, {group} how the instrument calls its groups.
_NAMES = {
    "answers": "ratings-given",
    "cell-map": "cells-{of}",
    "cell-maps": "cells-of-a-run",
    "cell-replies": "cells-noise-with-replies",
    "changes": "change-of-{of}",
    "components": "variance-components",
    "fidelity": "fidelity-to-the-base",
    "foundation-changes": "change-of-{of}-by-{group}",
    "foundation-levels": "susceptibility-and-robustness-by-{group}",
    "frontier": "susceptibility-among-frontier-models",
    "incoherence": "noise-and-incoherence",
    "instability": "instability-by-condition",
    "instruments": "change-by-questionnaire",
    "levels": "{of}-by-variant",
    "noise-parts": "parts-of-the-change-of-noise",
    "one-among-all": "one-persona-among-all",
    "open-answers": "open-answers-{of}",
    "persona-strip": "mean-ratings-of-personas",
    "rating-shares": "rating-shares-{of}",
    "reliability": "cronbach-alpha-by-{group}",
    "self-profiles": "profiles-without-persona",
    "self-radar": "profiles-without-persona-radar",
    "single-foundations": "change-in-one-{group}",
    "specification-curve": "specification-curves/{of}",
    "steps": "{of}-by-step",
    "steps-scale": "use-of-the-scale-by-step",
    "tasks": "accuracy-on-tasks",
    "temperature-curves": "{of}-by-temperature",
    "trajectories": "personas-from-base-to-variant",
}
#: Words of ids that are not those of readers.
_OF = {
    "within-rms": "noise", "sd": "noise", "within-sd": "within-persona-sd", "persona": "as-personas", "self": "without-persona",
    "toxic": "as-hostile-characters",
}  # fmt: skip


def words_of(key: str) -> str:
    """A metric, or a condition, as names of files have it: within_rms is noise."""
    rest = label(key)
    return _OF.get(rest, rest)


def figure_name(about: Mapping[str, str], title: str, group: str) -> str:
    """The path of a figure below the folder of its study or run, from the id in its `usermeta`, else from its title."""
    exhibit = about.get("id", "").removeprefix("figure-")
    if not exhibit:
        return label(title)
    known = max((name for name in _NAMES if f"{exhibit}-".startswith(f"{name}-")), key=len, default="")
    if not known:
        return label(exhibit)
    rest = exhibit.removeprefix(known).strip("-")
    return _NAMES[known].format(of=words_of(rest), group=label(group))


def unlike(name: str, taken: set[str]) -> str:
    """The name, with a number where another has it already, in letters of either size; it is then taken, too."""
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found.casefold())
    return found
