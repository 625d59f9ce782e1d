"""What a study has cost, over every run and visit."""

from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.store.store import Store
from persona_collapse.study.endpoint import Price
from persona_collapse.study.study import Run, Study

#: Characters of a prompt in one token: 652 characters were 142 tokens in the published study. No tokenizer is asked.
CHARACTERS_A_TOKEN = 4.6
#: Tokens of a chat request beside those of its prompt, at most.
_AROUND = 16


def price(study: Study, run: Run) -> Price | None:
    """What a run's tokens cost: its own price, else its endpoint's, else None."""
    endpoint = study.file.endpoints.get(run.variant.endpoint or "")
    return run.variant.price_per_million or (endpoint.price_per_million if endpoint else None)


def dollars(study: Study, run: Run, input_tokens: float, output_tokens: float) -> float:
    """The cost of tokens of a run; nothing where no price is known."""
    cost = price(study, run)
    return (input_tokens * cost.input + output_tokens * cost.output) / 1e6 if cost else 0.0


def spent_usd(study: Study, store: Store) -> float:
    """Dollars spent so far: tokens as reported, and at most so many where an endpoint reported none or an answer was lost."""
    tokens = store.spent_tokens()
    return sum(dollars(study, run, *tokens.get(run.keys, (0, 0))) for run in (*study.runs, *study.judges))


def most_tokens(prompt: str, max_tokens: int, choices: int) -> tuple[int, int]:
    """Tokens that a request costs at most, without a tokenizer: no token of a prompt is shorter than a byte."""
    return len(prompt.encode()) + _AROUND, max_tokens * choices


def used_up(study: Study, spent: float) -> ElicitationError | None:
    """The error of a study whose budget is spent, None while it is not."""
    budget = study.file.budget_usd
    if budget is None or spent < budget:
        return None
    return ElicitationError(
        f"budget_usd of {budget:g} is used up ({spent:.2f} spent); what was answered is kept; "
        "raise the budget and run the same command again"
    )
