"""Captions of the tables that notebooks show, by the call that made them: each stands alone."""

import re

_CLAIMS = {
    "susceptibility": "susceptibility S of harmful variants against the base",
    "noise": "within-persona noise of harmful variants against the base",
    "susceptibility_excess": "susceptibility S of harmful variants beyond their control, in percentage points of the base",
    "noise_excess": "within-persona noise of harmful variants beyond their control, in percentage points of the base",
    "anchor": "the share of variation that is the persona's (ICC, logit), harmful variants less their control",
    "control": "susceptibility S of controls against the base",
}
_INSIDE = {"susceptibility": "susceptibility S", "within_rms": "within-persona noise"}
_METRICS = {"susceptibility": "Susceptibility S", "within_rms": "Within-persona noise", "robustness": "Robustness R"}
#: Tables of two studies side by side.
_OF_TWO_STUDIES = {f"reading_tables.{table}" for table in ("matches", "levels", "changes", "excesses", "foundations")}
_CAPTIONS = {
    "reading_tables.matches": (
        "Runs of both studies: what was matched with what, on how many personas and items differences are taken, and what"
        " else differs."
    ),
    "reading_tables.levels": (
        "{} of every run in both studies, each on its own personas and items, with 95 % intervals for other personas; the"
        " difference on what both have in common; and the published estimator of both."
    ),
    "reading_tables.changes": (
        "{}: change against the base in both studies, each on its own personas and items, with 95 % intervals; how much "
        "larger the ratio of variant to base is in the second (of means over families, the difference in points); and the"
        " published changes."
    ),
    "reading_tables.excesses": (
        "{}: excess over the matched control in both studies, in points of the base, with 95 % intervals; the difference;"
        " and the published excesses."
    ),
    "reading_tables.foundations": (
        "{}: difference between the studies over all items and by foundation, with 95 % intervals for other personas; "
        "recommended estimator."
    ),
    "printed_figures.beside": (
        "Printed figures of the paper beside the numbers computed from the ratings, by the published estimators; of "
        "imported ratings only those that differ, published_check.csv has all."
    ),
    "reading_tables.profile_table": (
        "Answers without a persona, and of the base as hostile characters: mean rating by foundation in scale points, ± "
        "standard deviation over repetitions (over characters for the hostile ones)."
    ),
    "reading_tables.saturation_table": (
        "Where ratings lie on the scale, by run: shares at both ends and at the top, and root mean square distances over "
        "foundations of the profile without a persona, in scale points."
    ),
    "reading_tables.companions_table": (
        "Companions of S and R over all items, by run: how extreme ratings are for the room there is, the share of "
        "variation that is the persona's (ICC), S and noise relative to the room, fidelity to the base, mass at both "
        "ends, and what the persona tells about an answer. Recommended estimators."
    ),
    "validity_tables.overview_table": (
        "Every headline under every defensible choice of estimator, base, persona, item, repetition and family: the "
        "recommended value with its 95 % interval, and under how many choices the claim holds."
    ),
    "validity_tables.choices_table": (
        "Choice by choice: {}, in the mean over families where there are several, with 95 % intervals and what becomes of"
        " the claim."
    ),
    "validity_tables.foundations_table": (
        "Change of {} against the base by foundation, in percent of the base; recommended estimator. A star: clear after "
        "Holm's adjustment for all claims made."
    ),
}


def call(source: str) -> str:
    """What a cell's last line calls, with the last text it hands over, as in ``study_figures.changes(susceptibility)``."""
    match = re.search(r"(\w+\.\w+)\((.*)\)\s*$", source.strip().rpartition("\n")[2])
    if not match:
        return ""
    names = re.findall(r'"(\w+)"', match[2])
    return f"{match[1]}({names[-1] if names else ''})"


def _named(function: str) -> dict[str, str]:
    """How the caption of a function's table calls what the function was asked for."""
    if function in _OF_TWO_STUDIES:
        return _METRICS
    return _INSIDE if function == "validity_tables.foundations_table" else _CLAIMS


def caption(made: str, heading: str) -> str:
    """The caption of the table that a call made; where none is known, what its section is about."""
    function, _, name = made.rstrip(")").partition("(")
    known = _CAPTIONS.get(function)
    return (
        known.format(_named(function).get(name, name.replace("_", " ")))
        if known
        else f"{heading}: the numbers."
        if heading
        else "Numbers."
    )
