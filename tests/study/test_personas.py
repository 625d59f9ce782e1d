"""Decks of personas: the shipped ones, a user's own, and what a wrong file is told."""

import json

import pytest

from persona_collapse.paths import PERSONAS
from persona_collapse.study.personas import load_personas

NURSE, BAKER = "A night nurse who hums.", "A baker, aged 40."


@pytest.mark.parametrize(("deck", "size"), [("everyday", 100), ("toxic", 8)])
def test_shipped_deck_is_of_unique_texts_of_60_to_140_characters(deck, size):
    personas = load_personas(deck)
    assert [p.index for p in personas] == list(range(size))
    assert len({p.text for p in personas}) == size
    assert [p.text for p in personas if not 60 <= len(p.text) <= 140] == []


@pytest.mark.parametrize("deck", ["everyday", "toxic"])
def test_shipped_texts_are_one_clean_line(deck):
    for persona in load_personas(deck):
        assert persona.text == " ".join(persona.text.split())
        assert persona.text.isascii() and not set(persona.text) & set("{}<>")


@pytest.mark.parametrize(("deck", "columns"), [("everyday", ["age", "region", "occupation", "outlook"]), ("toxic", ["kind"])])
def test_every_attribute_of_a_shipped_persona_is_filled(deck, columns):
    for persona in load_personas(deck):
        assert list(persona.attributes) == columns
        assert all(persona.attributes.values())


def test_shipped_decks_share_no_persona():
    assert not {p.text for p in load_personas("everyday")} & {p.text for p in load_personas("toxic")}


def test_hostile_kinds_differ():
    assert len({p.attributes["kind"] for p in load_personas("toxic")}) == 8


def test_first_takes_that_many_from_the_top():
    assert load_personas("everyday", 20) == load_personas("everyday")[:20]
    assert load_personas("everyday", 100) == load_personas("everyday")
    assert len(load_personas("toxic", 1)) == 1


def test_a_path_finds_the_shipped_file_too():
    assert load_personas(PERSONAS / "toxic.csv") == load_personas("toxic") == load_personas(str(PERSONAS / "toxic.csv"))


@pytest.fixture
def write(tmp_path):
    """A file in the test's folder with this text or these bytes."""

    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


RIGHT = {
    "one column": ("d.csv", f'persona\n{NURSE}\n"{BAKER}"\n', [{}, {}]),
    "attributes": ("d.csv", f'age,persona,town\n30,{NURSE},Graz\n,"{BAKER}",\n', [{"age": "30", "town": "Graz"}, {"age": "", "town": ""}]),
    "short row": ("d.csv", f'persona,age\n{NURSE}\n"{BAKER}",40\n', [{"age": ""}, {"age": "40"}]),
    "byte order mark": ("d.csv", b"\xef\xbb\xbf" + f'persona\n{NURSE}\n"{BAKER}"\n'.encode(), [{}, {}]),
    "Windows line ends": ("d.csv", f'persona\r\n{NURSE}\r\n"{BAKER}"\r\n', [{}, {}]),
    "blank lines": ("d.csv", f'persona\n\n{NURSE}\n\n"{BAKER}"\n\n', [{}, {}]),
    "space around": ("d.csv", f'persona\n  {NURSE} \n" {BAKER}\t"\n', [{}, {}]),
    "no last line end": ("d.csv", f'persona\n{NURSE}\n"{BAKER}"', [{}, {}]),
    "JSON": ("d.json", json.dumps([NURSE, BAKER]), [{}, {}]),
    "JSON, space around": ("d.json", json.dumps([f" {NURSE}\n", BAKER]), [{}, {}]),
    "JSON, byte order mark": ("d.json", b"\xef\xbb\xbf" + json.dumps([NURSE, BAKER]).encode(), [{}, {}]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "attributes"), RIGHT.values(), ids=RIGHT)
def test_own_deck(write, name, content, attributes):
    personas = load_personas(write(name, content))
    assert [p.text for p in personas] == [NURSE, BAKER]
    assert [p.attributes for p in personas] == attributes


def test_text_with_quotes_accents_and_a_line_end(write):
    personas = load_personas(write("d.csv", 'persona\n"Says ""no"",\nthen naïvely 😀 {yes}."\nB\n'))
    assert personas[0].text == 'Says "no",\nthen naïvely 😀 {yes}.'


def test_a_text_of_any_length_is_a_persona(write):
    """More than the 131,072 characters that csv takes by default."""
    assert len(load_personas(write("d.csv", "persona\n" + "x" * 140_000 + "\nB\n"))[0].text) == 140_000


def test_blanks_around_the_name_of_a_column_are_none_of_it(write):
    personas = load_personas(write("d.csv", " persona , age\nA,3\nB,4\n"))
    assert [(p.text, p.attributes) for p in personas] == [("A", {"age": "3"}), ("B", {"age": "4"})]


def test_joiners_and_marks_of_a_script_stay_in_the_text(write):
    family = "\U0001f468\u200d\U0001f469"
    assert load_personas(write("d.csv", f"persona\n{family}\nB\n"))[0].text == family


TWICE = f"persona\n{NURSE}\nB\n {NURSE} \n"
WRONG = {
    "duplicates": ("d.csv", TWICE, None, [", persona 3: the same text as persona 1; keep one"]),
    "duplicates in JSON": ("d.json", '["a", "b", "b "]', None, [", persona 3: the same text as persona 2"]),
    "empty text": ("d.csv", "persona,age\nA,3\n,4\n", None, [", persona 2: is empty; write it or remove the row"]),
    "only spaces": ("d.csv", "persona\nA\n'  '\n   \n", None, [", persona 3: is empty"]),
    "empty text in JSON": ("d.json", '["a", ""]', None, [", persona 2: is empty"]),
    "nothing that can be seen": (
        "d.json", '["a", "\\u200b\\ufeff\\u3164"]', None, [r", persona 2: holds nothing that can be seen ('\u200b\ufeff\u3164'); write it or"],
    ),
    "twins but for what cannot be seen": (
        "d.csv", "persona\nA nurse\nB\nA\u00a0nu\u200brse\n", None, [", persona 3: differs only in what cannot be seen from persona 1; keep one"],
    ),
    "half a character": (
        "d.json", r'["a", "\ud800b"]', None, [r", persona 2: holds '\ud800', half of a character, which no request can carry; correct it"],
    ),
    "one persona": ("d.csv", "persona\nA\n", None, [": 1 personas; susceptibility needs at least two"]),
    "no persona": ("d.csv", "persona\n", None, [": 0 personas; susceptibility needs at least two"]),
    "empty list": ("d.json", "[]", None, [": 0 personas; susceptibility needs at least two"]),
    "first too large": ("d.csv", "persona\nA\nB\n", 3, [": 2 personas, but the protocol asks for 3; lower protocol.personas or add personas"]),
    "no column persona": ("d.csv", "text,age\nA,3\n", None, [": columns 'text', 'age'; expected one called 'persona'"]),
    "capital Persona": ("d.csv", "Persona\nA\nB\n", None, [": columns 'Persona'; expected one called 'persona'"]),
    "semicolons": (
        "d.csv", "persona;age\nA;3\n", None,
        [": columns 'persona;age'; expected one called 'persona'; semicolons stand between its columns; save it with commas"],
    ),
    "empty file": ("d.csv", "", None, [": columns nothing; expected one called 'persona'"]),
    "unquoted comma": ("d.csv", f"persona\n{NURSE}\n{BAKER}\n", None, [", line 3: more fields than the 1 columns", "double quotes"]),
    "open quote": ("d.csv", 'persona\n"' + "x" * 140_000, None, [": not CSV (unexpected end of data", "check its double quotes"]),
    "not UTF-8": ("d.csv", "persona\nGröße\nB\n".encode("latin-1"), None, [": not UTF-8 text; save it as UTF-8"]),
    "UTF-16": ("d.csv", "persona\nA\nB\n".encode("utf-16"), None, [": not UTF-8 text; save it as UTF-8"]),
    "not JSON": ("d.json", "persona\nA\n", None, [": not JSON (Expecting value: line 1 column 1", "expected a list of strings"]),
    "JSON not UTF-8": ("d.json", '["Größe", "b"]'.encode("latin-1"), None, [": not JSON (", "expected a list of strings"]),
    "empty JSON": ("d.json", "", None, [": not JSON (Expecting value", "expected a list of strings"]),
    "JSON of a mapping": ("d.json", '{"personas": ["a", "b"]}', None, [": expected a list of strings, one a persona"]),
    "JSON of numbers": ("d.json", '["a", 2]', None, [": expected a list of strings, one a persona"]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "first", "parts"), WRONG.values(), ids=WRONG)
def test_wrong_deck_is_told_in_one_line(write, name, content, first, parts):
    path = write(name, content)
    with pytest.raises(ValueError) as caught:
        load_personas(path, first)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize("name", ["everyone", "nowhere/deck.csv", "deck.json", ""])
def test_unknown_deck_lists_what_there_is(name):
    with pytest.raises(FileNotFoundError) as caught:
        load_personas(name)
    assert str(caught.value).endswith(
        ": no such personas; expected one of 'everyday', 'stated', 'toxic', or a path to .csv or .json"
    )
    assert "\n" not in str(caught.value)


def test_first_too_large_for_a_shipped_deck_names_it():
    with pytest.raises(ValueError, match=r"^params/personas/toxic\.csv: 8 personas, but the protocol asks for 9; lower protocol"):
        load_personas("toxic", 9)
