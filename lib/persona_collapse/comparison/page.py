"""The page of two studies side by side, made with the parts of the appendix."""

from typing import Any

from persona_collapse.comparison import reading_tables, sentences
from persona_collapse.comparison.build import StudyTables
from persona_collapse.comparison.differences import EFFECT, EXCESS
from persona_collapse.comparison.pair import NOTEBOOK, Pair
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.report import citing, notebook_section, page_sections
from persona_collapse.report.markdown import markdown
from persona_collapse.report.page import Page, assemble
from persona_collapse.report.provenance import as_json, provenance
from persona_collapse.report.study_page import dates
from persona_collapse.text import safe
from persona_collapse.vocabulary import HEADLINES, METRICS, OF_PUBLISHED, PUBLISHED, RECOMMENDED

__all__ = ["as_json", "provenance_of", "render_comparison"]

_METHODS = r"""
Every number of a single study is that of its own report, whose methods section has prompts and estimators. With $X_a$ and $X_b$ a
value of the first and of the second study on the personas and items that both have, and $B_a$, $B_b$ those of the bases,

$$
D = 100 \left( \frac{X_b}{X_a} - 1 \right), \qquad
F = 100 \left( \frac{X_b / B_b}{X_a / B_a} - 1 \right), \qquad
E = E_b - E_a
$$

are the difference, the difference of the effect, and the difference of the excess over the control, in points of the base. Means
over families are those of $E$, and of the changes $100\,(X/B - 1)$ in the second study less those in the first, in points.

**The same personas.** Where the words of a persona are the same in both decks, every persona is left out once, on both sides at
once. With $z$ the logarithm of the ratio (of what is in points, that itself) and $z_{(p)}$ the same without persona $p$ of $P$,

$$
\mathrm{SE}^2 = \frac{P-1}{P} \sum_p \left( z_{(p)} - \bar{z}_{(\cdot)} \right)^2
$$

with limits $P z - (P-1)\, \bar{z}_{(\cdot)} \pm t_{0.975,\,P-1}\, \mathrm{SE}$, brought back to percent.

**Other personas.** Where personas are not the same, or not known to be, the studies are independent: each has such a standard
error of its own, and

$$
\mathrm{SE}^2 = \mathrm{SE}_a^2 + \mathrm{SE}_b^2, \qquad
\nu = \frac{\mathrm{SE}^4}{\mathrm{SE}_a^4 / (P_a - 1) + \mathrm{SE}_b^4 / (P_b - 1)}
$$

where $\nu$ are the degrees of freedom of $t$.

**The same requests again.** The variances of both studies that come from leaving out one rating of one cell at a time are added;
both studies were drawn once.

**Equal repetitions.** Published estimators are compared as expected from equally many ratings a cell, drawn from those there are.

**Not compared** are runs asked with different prompts, on different scales, or one by samples and one by logprobs; items that
only one study has are left out on both sides.
"""


def provenance_of(pair: Pair) -> dict[str, Any]:
    """What made a comparison: versions and commit, and the provenance of both studies."""
    each = {ratings.study.name: provenance(ratings) for ratings in pair.ratings}
    first = next(iter(each.values()))
    return {name: first[name] for name in ("persona_collapse", "commit", "python", "packages")} | {"studies": each}


def render_comparison(pair: Pair, tables: StudyTables, made: dict[str, Any]) -> str:
    """The comparison as the text of one HTML file; everything foreign is escaped, as in `study_page.render_report`."""
    page = Page()
    body = [
        notebook_section.notebook(page, pair.folder / "notebooks" / f"{NOTEBOOK}.ipynb"),
        page.section(
            "Every run", "runs", lambda: _runs(page, pair, tables), lead="S, R, noise and ICC of both studies, as tables."
        ),
        page.section(
            "Methods", "methods", lambda: markdown(_METHODS), lead="How differences between studies get their intervals."
        ),
        page.section("Data dictionary", "dictionary", lambda: page_sections.described(page, vars(tables), also=_BESIDE)),
        page.section("Provenance", "provenance", lambda: page_sections.made_of(page, made, made["studies"])),
        page.section("How to cite", "cite", lambda: markdown("\n".join(_cited(pair)))),
    ]
    return assemble(
        page,
        body,
        title=f"{pair.names[1]} beside {pair.names[0]}",
        kind=f"Two studies side by side: {' and '.join(_kind(study.name, study.file.kind, made) for study in pair.studies)}",
        simulated="" if pair.is_evidence else f"Simulated ratings in {' and '.join(pair.simulated)}",
        measured=_measured(pair, tables),
        answer=f'<div class="answer">{markdown(_answer(page, pair, tables))}</div>',
        made=made,
    )


_BESIDE = "; each study's own numbers stand in its own folder"


def _kind(name: str, kind: str, made: dict[str, Any]) -> str:
    when = dates(made["studies"][name])
    return f"{name} ({kind}{f', answered {when}' if when else ''})"


def _measured(pair: Pair, tables: StudyTables) -> str:
    """What is set beside what, in the words of the page's head."""
    a, b = (f"**{safe(s.name)}** (*{safe(s.file.title)}*, {len(s.runs)} runs)" for s in pair.studies)
    return (
        f"*Asked again, on another date, with another fine-tune or by somebody else: is it the same result?* {b} is set beside "
        f"{a}; {len(pair.together)} runs stand in both. {sentences.shared(tables, pair)} Every sentence with a number "
        "on this page is computed from the ratings."
    )


def _answer(page: Page, pair: Pair, tables: StudyTables) -> str:
    """Whether the second study finds what the first found, and where each difference stands."""
    links = page.links(*(exhibit_id("figure", "forest", kind) for kind in (EFFECT, EXCESS)))
    where = f"\n\nEvery difference: {links}." if links else ""
    return f"{sentences.agreement(tables, pair)}\n{sentences.counted(tables)}{where}"


def _runs(page: Page, pair: Pair, tables: StudyTables) -> str:
    """The same tables of both studies, one row a run and study, recommended estimators first."""
    parts = [
        "<p>Each study on its own personas and items. Recommended estimators with the 95 % interval for other personas; then the "
        "paper's formulas, ± 1.96 of their standard errors, of which R and the within-persona SD depend on the number of "
        "repetitions.</p>",
    ]
    wanted = [(key, METRICS[key].heading, RECOMMENDED) for key in (*HEADLINES, "icc")]
    wanted += [(key, METRICS[key].heading, PUBLISHED) for key in OF_PUBLISHED]
    for metric, title, method in wanted:
        group = pair.studies[0].instrument.group
        caption = f"{title} of every run of both studies, over all items and by {group}: {method} estimator, 95 % intervals."
        parts.append(page.table(reading_tables.scopes(tables, pair, metric, method), caption, wide=True))
    return "\n".join(parts)


def _cited(pair: Pair) -> list[str]:
    """How to cite both, each line once."""
    return list(dict.fromkeys(line for study in pair.studies for line in citing.how(study).splitlines()))
