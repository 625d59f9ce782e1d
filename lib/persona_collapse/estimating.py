"""What a live study still costs, run by run, before anything is sent."""

import math

import pandas as pd

from persona_collapse import elicitation, spending
from persona_collapse.store import open_store
from persona_collapse.study import Study

#: Characters of a prompt in one token: 652 characters were 142 tokens in the published study. No tokenizer is asked.
CHARACTERS_A_TOKEN = 4.6
#: Seconds that an answer takes, for the hours; published endpoints gave 0.6 to 1.1.
_SECONDS_A_REQUEST = 1.0


def estimate(study: Study) -> pd.DataFrame:
    """Requests, tokens, dollars and hours for the slots that a study's store lacks; sends nothing.

    Returns
    -------
    DataFrame
        One row a run and way of asking: `one by one`, or `choices`, every repetition of a cell in one request, which needs
        an endpoint that gives them and pays a prompt once. Tokens are estimates (4.6 characters a token), dollars are empty
        without a price, hours assume a second an answer with everything in flight that the study file allows.
    """
    if study.file.kind != "live":
        raise ValueError(f"{study.path.name}: a study of kind {study.file.kind} costs nothing; estimate is for kind live")
    rows = []
    missing = _missing(study)
    for run in study.runs:
        endpoint = study.file.endpoints[run.variant.endpoint or ""]
        price = spending.price(study, run)
        for way in ("one by one", "choices"):
            requests = input_tokens = output_tokens = 0
            for length, repetitions in missing[run.key]:
                number = repetitions if way == "one by one" else min(1, repetitions)
                requests += number
                input_tokens += number * math.ceil(length / CHARACTERS_A_TOKEN)
                output_tokens += repetitions * study.file.protocol.max_tokens
            dollars = (input_tokens * price.input + output_tokens * price.output) / 1e6 if price else math.nan
            hours = requests * _SECONDS_A_REQUEST / endpoint.max_in_flight / 3600
            rows.append((run.key, way, requests, input_tokens, output_tokens, dollars, hours))
    columns = ["run", "way", "requests", "input_tokens", "output_tokens", "dollars", "hours"]
    return pd.DataFrame(rows, columns=columns)


def _missing(study: Study) -> dict[str, list[tuple[int, int]]]:
    """For each run the cells with something to ask: length of the prompt in characters, repetitions that are missing."""
    questions = {run.key: list(elicitation.questions(study, run)) for run in study.runs}
    answered: dict[str, dict[tuple, int]] = {run.key: {} for run in study.runs}
    if study.store_path.is_file():
        with open_store(study.store_path) as store:
            for run in study.runs:
                answered[run.key] = store.answered(run.family.key, run.variant.key)
    found = {}
    for key, asked in questions.items():
        left = [
            (len(q.prompt), q.repetitions - answered[key].get((q.condition, q.persona, q.item, q.identity), 0)) for q in asked
        ]
        found[key] = [(length, number) for length, number in left if number > 0]
    return found


def lines(study: Study, *, done: bool = True) -> list[str]:
    """The estimate as lines for people, with totals and the budget; `done` adds that nothing was sent."""
    table = estimate(study)
    found = [f"{'run':<28}{'way':<12}{'requests':>10}{'tokens in':>14}{'tokens out':>12}{'dollars':>10}{'hours':>8}"]
    total = table.groupby("way", sort=False, as_index=False).sum(numeric_only=True).assign(run="all")
    # A sum without a price would read as zero dollars.
    total.loc[[table[table["way"] == way]["dollars"].isna().any() for way in total["way"]], "dollars"] = math.nan
    for row in pd.concat([table, total]).itertuples():
        dollars = "-" if math.isnan(row.dollars) else f"{row.dollars:,.2f}"
        found.append(
            f"{row.run:<28}{row.way:<12}{row.requests:>10,}{row.input_tokens:>14,}{row.output_tokens:>12,}{dollars:>10}{row.hours:>8.2f}"
        )
    if study.file.budget_usd is not None:
        found.append(f"budget_usd: {study.file.budget_usd:g}; elicitation stops there")
    found.append("Estimates: 4.6 characters a token, a second an answer." + " Nothing was sent." * done)
    return found
