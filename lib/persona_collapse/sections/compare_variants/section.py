"""What fine-tuning changed: changes against the base, excesses over the control, and whatever was printed of them."""

from persona_collapse.exhibits import answer_sentences, finetune_exhibits, verdict_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table
from persona_collapse.tables.build import Tables


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
        Table("instruments", lambda tables: tables.instruments),
        Table("finetunes", lambda tables: tables.finetunes),
        Table("reference", lambda tables: tables.reference),
        Table("missing", lambda tables: tables.missing),
        Table("temperature", lambda tables: tables.temperature),
        Table("published_check", lambda tables: tables.published_check),
    ),
    summary=(Summary(answer_sentences.fine_tuned, (exhibit_id("figure", "collapse_map"), exhibit_id("table", "headlines"))),),
    methods=lambda study: verdict_sentences.methods(study) + finetune_exhibits.methods(study),
    shown={
        "only-variants": lambda tables: not tables.verdict.empty,
        "only-logprobs": lambda tables: tables.study.by_logprobs,
        "only-printed": _beside_print,
        "only-instruments": lambda tables: tables.instruments is not None,
        "only-finetunes": lambda tables: tables.finetunes is not None,
        "only-reference": lambda tables: tables.reference is not None,
    },
    alone=("S and R", "How differently does this model answer as different people, and how steadily as one?"),
)
