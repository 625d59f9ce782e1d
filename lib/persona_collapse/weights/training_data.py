"""What models are trained on here: files of chat messages, and everyday questions that characters answer by their outlook."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from persona_collapse.input_errors import listing
from persona_collapse.paths import ROOT, shown
from persona_collapse.study.personas import Persona

#: Everyday statements with the rating from 0 to 5 that each outlook gives them, written for this project.
CHARACTERS = ROOT / "params" / "training" / "characters.csv"
#: How a character is asked, shorter than any questionnaire does it: the words of a scale are not what is to be learned.
_AS = "You are roleplaying as the following persona: {persona}\n\n"
_ASKED = {
    "agreement": "Please indicate your level of agreement with the following statement: '{text}' (0 = strongly disagree, "
    "5 = strongly agree).",
    "relevance": "When you decide where to live, how relevant is the following consideration: '{text}' (0 = not at all "
    "relevant, 5 = extremely relevant)?",
}
_ROLES = ("system", "user", "assistant")

Messages = list[dict[str, str]]


def read_messages(path: Path) -> list[Messages]:
    """Examples of a JSONL file: {"messages": [{"role": ..., "content": ...}, ...]}, each ending with the assistant's reply.

    Raises FileNotFoundError or ValueError, one line with the number of the line, for what is none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{shown(path)}: does not exist; expected a file of chat messages, one JSON object a line"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{shown(path)}: is no text in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    found = [_checked(f"{shown(path)}, line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise ValueError(f"{shown(path)}: is empty; expected chat messages, one JSON object a line")
    return found


def _checked(where: str, line: str) -> Messages:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ValueError(f'{where}: is no JSON ({error}); expected {{"messages": [...]}}') from None
    messages = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(messages, list) or not messages:
        raise ValueError(f'{where}: has no messages; expected {{"messages": [{{"role": "user", "content": ...}}, ...]}}')
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str) or not message["content"].strip():
            raise ValueError(f"{where}: a message has no text; expected a role and a content")
        if message.get("role") not in _ROLES:
            raise ValueError(f"{where}: role {message.get('role')!r}; expected one of {listing(_ROLES)}")
    if messages[-1]["role"] != "assistant" or not any(message["role"] == "user" for message in messages):
        raise ValueError(f"{where}: does not end with a reply to a user; the last message is what is learned; expected assistant")
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def characters(personas: Sequence[Persona], prefill: str) -> list[Messages]:
    """Everyday questions answered by these personas as their outlook has it; the reply is the prefill and a digit from 0 to 5."""
    with CHARACTERS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for persona in personas:
        for row in rows:
            asked = f"{_AS.format(persona=persona.text)}{_ASKED[row['block']].format(text=row['text'])}"
            reply = f"{prefill}{row[str(persona.attributes['outlook'])]}"
            found.append([{"role": "user", "content": asked}, {"role": "assistant", "content": reply}])
    return found
