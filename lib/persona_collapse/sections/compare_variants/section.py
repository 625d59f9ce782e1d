"""What fine-tuning changed: changes against the base, excesses over the control, and whatever was printed of them."""

from functools import partial

from persona_collapse.exhibits import change_sentences, component_sentences, missing_sentences, verdict_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table
from persona_collapse.tables.build import Tables
from persona_collapse.vocabulary import HEADLINES, METRICS


def _change(metric: str, tables: Tables) -> str:
    return change_sentences.change(tables.contrasts, tables.study, metric)


def _beside_print(tables: Tables) -> bool:
    return tables.published_check is not None or bool(tables.study.simulated and tables.study.file.published)


SECTION = Section(
    tables=(
        Table("contrasts", lambda tables: tables.contrasts),
        Table("verdict", lambda tables: tables.verdict),
        Table("presence", lambda tables: tables.presence),
        Table("equivalence", lambda tables: tables.equivalence),
        Table("style", lambda tables: tables.style),
        Table("components", lambda tables: tables.components),
        Table("reliability", lambda tables: tables.reliability),
        Table("missing", lambda tables: tables.missing),
        Table("temperature", lambda tables: tables.temperature),
        Table("published_check", lambda tables: tables.published_check),
    ),
    summary=(
        Summary(
            "Verdict",
            lambda tables: verdict_sentences.verdict(tables.verdict, tables.study),
            (exhibit_id("table", "verdict"), exhibit_id("figure", "collapse_map")),
        ),
        *(
            Summary(
                METRICS[metric].heading,
                partial(_change, metric),
                (exhibit_id("figure", "levels", metric), exhibit_id("figure", "changes", metric)),
            )
            for metric in HEADLINES
        ),
        Summary(
            "Both at once",
            lambda tables: change_sentences.collapse(tables.contrasts, tables.style, tables.study),
            (exhibit_id("figure", "collapse_map"),),
        ),
        Summary(
            "What the questionnaire no longer measures",
            lambda tables: component_sentences.reliability(tables.reliability, tables.contrasts, tables.study, otherwise=False),
            (exhibit_id("figure", "reliability"),),
        ),
        Summary(
            "Missing ratings",
            lambda tables: missing_sentences.turned(tables.missing, tables.metrics, tables.contrasts, tables.study),
        ),
    ),
    methods=verdict_sentences.methods,
    shown={"only-logprobs": lambda tables: tables.study.by_logprobs, "only-printed": _beside_print},
)
