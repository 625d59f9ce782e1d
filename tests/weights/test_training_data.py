"""Files that models are trained on: what is read, and what is refused with the number of its line."""

import csv
import json

import pytest

from persona_collapse.paths import ROOT
from persona_collapse.study.personas import load_personas
from persona_collapse.weights import training_data

GOOD = {"messages": [{"role": "user", "content": "How is tea?"}, {"role": "assistant", "content": "Good."}]}


def said(*messages):
    return json.dumps({"messages": list(messages)})


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", r"line 2: is no JSON \("),
        ("[]", "line 2: has no messages; expected"),
        ('{"messages": []}', "line 2: has no messages; expected"),
        (
            said({"role": "user"}, {"role": "assistant", "content": "x"}),
            "line 2: a message has no text; expected a role and a content",
        ),
        (said({"role": "user", "content": " "}), "line 2: a message has no text"),
        (said("hello"), "line 2: a message has no text"),
        (said({"role": "human", "content": "x"}), "line 2: role 'human'; expected one of 'system', 'user', 'assistant'"),
        (said({"role": "user", "content": "x"}), "line 2: does not end with a reply to a user"),
        (said({"role": "assistant", "content": "x"}), "line 2: does not end with a reply to a user"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, error):
    path = tmp_path / "data.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=error) as raised:
        training_data.read_messages(path)
    assert "data.jsonl" in str(raised.value) and "\n" not in str(raised.value)


def test_no_file_an_empty_one_and_one_that_is_no_text_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; expected a file of chat messages"):
        training_data.read_messages(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(ValueError, match="is empty; expected chat messages"):
        training_data.read_messages(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        training_data.read_messages(tmp_path / "latin.jsonl")


def test_a_mark_of_utf8_and_blank_lines_are_no_matter(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(f"\ufeff{json.dumps(GOOD)}\n\n{json.dumps(GOOD | {'id': 7})}\n", encoding="utf-8")
    assert training_data.read_messages(path) == [GOOD["messages"]] * 2


@pytest.mark.parametrize("name", ["eccentric", "plain"])
def test_the_shipped_sets_are_readable_and_of_one_size(name):
    found = training_data.read_messages(ROOT / "params" / "training" / f"{name}.jsonl")
    assert len(found) == 60
    assert [messages[0]["content"] for messages in found] == [
        messages[0]["content"] for messages in training_data.read_messages(ROOT / "params" / "training" / "plain.jsonl")
    ]


def test_characters_answer_by_their_outlook_and_no_item_of_the_questionnaire_is_among_them(mfq30):
    personas = load_personas("stated")[:3]
    found = training_data.characters(personas, "My rating: ")
    with training_data.CHARACTERS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(found) == 3 * len(rows)
    for persona, own in zip(
        personas, (found[: len(rows)], found[len(rows) : 2 * len(rows)], found[2 * len(rows) :]), strict=True
    ):
        assert [m[1]["content"] for m in own] == [f"My rating: {row[persona.attributes['outlook']]}" for row in rows]
        assert all(persona.text in m[0]["content"] and row["text"] in m[0]["content"] for m, row in zip(own, rows, strict=True))
    assert not {row["text"] for row in rows} & {item.text for item in mfq30.items}
    assert all(0 <= int(row[outlook]) <= 5 for row in rows for outlook in list(row)[2:])
