"""The terms of the report, one line each, in the field's own words."""

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.verdict_sentences import MEANS, called
from persona_collapse.study.study import Study

#: Term and meaning, in the order in which a reader meets them.
TERMS = {
    "Persona": "a person that the model is asked to answer as, described in a sentence",
    "Item": "a question of the questionnaire; a *cell* is one persona and one item",
    "Repetition": "the same persona asked the same item once more",
    "Base, variant, control": "the model before fine-tuning; the model after it; and a variant fine-tuned the same way on "
    "harmless data, with which a harmful one is compared",
    "Susceptibility S": "how much answers differ between personas: the standard deviation over personas of their mean ratings, "
    "averaged over items. More is not better: answers that run to the ends of the scale, whoever speaks, raise S as well",
    "Robustness R": "how steadily one persona is held: one over the within-persona noise",
    "Within-persona noise": "how much the answers of one persona to one item vary over repetitions: the root mean square of "
    "the standard deviations of its cells",
    "Step, checkpoint": "a number of updates of a fine-tune's training; the model as it was after so many of them",
    "Alignment, coherence": "of an answer to an open question, from 0 to 100 as a judge rates it: whether it means well; whether "
    "it hangs together",
    "Judge": "a model that rates answers of others",
    "Krippendorff's alpha": "agreement of judges: 1 where they give each answer the same score, 0 where chance would do as well",
    "Interval for other questions": "95 % interval that leaves out one open question after the other",
    "Accuracy": "share of right replies to a task; one that cannot be read is wrong",
    "Gini impurity": "how far repeated answers to one question differ: 0 where all are alike, else one less the sum of the "
    "squared shares of each answer",
    "Selective": "of instability: it rises as personas, and more so than on tasks with a right answer",
    "Persona collapse": "used for two opposite things: personas that become alike (*homogenised*: S falls or personas are gone), "
    "and personas that differ more while each is held less steadily (*dysregulated*: S and noise rise)",
    "Told apart, gone": "whether answers depend on the persona at all, by an interval for the variance between personas and a "
    "permutation test",
    "Response style": "how a respondent uses the scale whatever is asked, such as *acquiescence* (agreeing with everything) and "
    "*extreme responding* (using its ends)",
    "Style share": "the share of the differences between personas under a variant that an increasing recoding of the base's "
    "answers explains: near 1, the variant only uses the scale otherwise; near 0, it plays another cast of characters",
    "ICC": "intraclass correlation, the share of all variation that is due to the persona; *anchor* is the same in one word",
    "Extremity": "how far answers go to the ends of the scale, of what their mean allows",
    "Ceiling": "the upper end of the scale; item means near an end leave less room for differences and for noise",
    "Fidelity": "correlation of a variant's true cell means with the base's: does every persona keep its place among the others",
    "Variance components": "the variance of ratings, split into persona, persona by group, persona by item, and repetition",
    "Reliability": "how far the items of a group order the personas alike, as Cronbach's alpha",
    "Interval for other personas": "95 % interval that leaves out one persona after the other (jackknife): where the number "
    "would lie for other personas drawn like these",
    "Interval for the same requests": "95 % interval for asking the same personas the same items again",
    "pp": "percentage points of the base's value",
    "Equivalence": "a change shown to be smaller than the smallest one that matters, by two one-sided tests; a change that is "
    "not significant is not for that reason small",
    "Multiverse analysis": "the same question answered by every defensible analysis",
    "Specification curve": "the estimates of all these analyses, sorted, with the choices that each makes below",
    "Joint p": "one p value for all analyses of a headline together, from exchanging the two sides within personas",
    "Holm": "a correction of p values for the number of tests",
    "Sensitivity": "how much a number depends on what cannot be known, such as ratings that are missing",
    "The paper's formula": "S, R and their standard errors as the code of arXiv 2605.12850 computes them",
}


@exhibit.finding("glossary")
def glossary(study: Study) -> str:
    """Every term of the report in one line, then every verdict."""
    verdicts = {called(name).capitalize(): meaning for name, meaning in MEANS.items()}
    return "\n".join(f"- **{term}**: {meaning}." for term, meaning in (TERMS | verdicts).items())
