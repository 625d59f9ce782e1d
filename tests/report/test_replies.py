"""replies.html on disk: what it holds packed and in its tables, where it is cut, when it is made and when not."""

import base64
import html
import json
import random
import re
import zlib

import pytest
import yaml

from importable import cell, small_study, write_rows
from live import live
from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.report import make, pdf, replies, run_notebooks
from persona_collapse.report.replies import render_replies
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.rows import Answer, Question
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study


def rendered(study):
    with open_store(study.store_path) as store:
        return render_replies(read_ratings(study, store), store)


def content(page):
    """What the script of a page reads."""
    found = re.search(r'<script id="replies" type="text/plain">([A-Za-z0-9+/=]+)</script>', page)
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def prose(page):
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"</?(i|code)>", "", text))).split())


@pytest.fixture
def small(outputs, tmp_path):
    """The page of an imported study with these replies in the first cell, each read as 5."""

    def made(*texts):
        rows = [row | {"response": text} for row, text in zip(cell(0, 1, *[5] * len(texts)), texts, strict=True)]
        write_rows(tmp_path / "base.csv", rows + cell(0, 2, 2) + cell(1, 1, 2) + cell(1, 2, -1))
        study = small_study(tmp_path)
        collect(study)
        return rendered(study)

    return made


def test_every_cell_of_every_run_is_packed_with_its_counts(mini, mini_replies):
    """Expected values from the store, slot by slot."""
    study, store, _ = mini
    page = mini_replies.read_text(encoding="utf-8")
    found = content(page)
    assert [run["key"] for run in found["runs"]] == [run.key for run in study.runs]
    for run in found["runs"]:
        for condition, flat in run["cells"].items():
            told, place = {}, 0
            for cell_number in range(len(found["people"][condition]) * len(found["items"])):
                for n in range(flat[place]):
                    reply, times = flat[place + 1 + 2 * n : place + 3 + 2 * n]
                    at = divmod(cell_number, len(found["items"]))
                    told[(*at, found["replies"][reply], found["ways"][found["reads"][reply]][0])] = times
                place += 1 + 2 * flat[place]
            assert place == len(flat)
            rows = store.said(*run["key"].split("/"), condition, "mfq30")
            assert told == {(persona, item - 1, reply, str(rating)): times for persona, item, rating, _, reply, times in rows}
    assert "21,300 requested ratings, 6 different replies" in prose(page)
    assert "Simulated ratings: made to look like the figures" in page


def test_without_script_every_run_has_its_commonest_replies(small):
    # "same" three times and the 2 of two other cells twice; then, once each, an empty one and seven of eleven; "I" comes later.
    page = small("same", "same", "same", *(f"five {n}" for n in range(11)), "")
    text = prose(page)
    assert "18 requested ratings, 15 different replies, of which the 10 commonest" in text
    assert text.index("same 3 5") < text.index("2 2 2") and text.count("five ") == 7
    assert "invalid, an imported row holds no valid rating and no reason." in text
    assert "<noscript>" in page and "ratings.sqlite</code> holds all of them" in page


def test_an_empty_reply_and_one_without_a_text_are_told_apart(small):
    assert "<i>empty</i></td><td>2</td><td>5</td>" in small("", "")


def test_a_long_reply_is_cut_and_says_so(small):
    text = "5" + "é" * 2500
    page = small(text, "5")
    found = content(page)
    place = found["replies"].index(text[:2000])
    assert found["cut"] == [[place, 2501]]
    assert "1 reply is cut to the first 2,000 letters, and the search looks no further; ratings.sqlite has it whole." in prose(
        page
    )


def test_a_page_that_would_be_too_large_holds_less_of_each_reply(small, monkeypatch):
    draw = random.Random(0)
    texts = ["".join(draw.choices("abcdefghij", k=1000)) for _ in range(40)]
    monkeypatch.setattr(replies, "_MOST_PACKED", 10_000)
    page = small(*texts)
    said = re.search(
        r"40 different replies are cut to the first (\d+) letters, so that this file stays under 15 MB, and the search",
        prose(page),
    )
    found = content(page)
    assert 200 < int(said[1]) < 1000
    assert sorted(t for t in found["replies"] if t and len(t) > 1) == sorted(text[: int(said[1])] for text in texts)
    assert len(re.search(r'text/plain">(.*?)<', page)[1]) <= 10_000


def test_without_room_for_texts_counts_of_ratings_stand_alone(small, monkeypatch):
    monkeypatch.setattr(replies, "_MOST_PACKED", 700)
    draw = random.Random(0)
    page = small(*("".join(draw.choices("abcdefghij", k=100)) for _ in range(40)))
    found = content(page)
    assert set(found["replies"]) == {None} and found["runs"][0]["cells"]["persona"][:3] == [1, 0, 40]
    assert "The texts of replies are left out so that this file stays under 15 MB, and counts of ratings stand alone" in prose(
        page
    )


def test_without_room_for_anything_the_tables_stand_alone(small, monkeypatch):
    monkeypatch.setattr(replies, "_MOST_PACKED", 10)
    page = small("5")
    assert "<script" not in page and 'href="#run' not in page
    assert "The replies of this study are left out so that this file stays under 15 MB; ratings.sqlite has them." in prose(page)


def test_files_without_texts_say_so(outputs, tmp_path):
    write_rows(
        tmp_path / "base.csv",
        cell(0, 1, 5) + cell(1, 1, 4) + cell(0, 2, 5) + cell(1, 2, 4),
        ["persona_id", "question_id", "run_index", "rating"],
    )
    study = small_study(tmp_path)
    collect(study)
    assert "The files that these ratings were read from hold no texts of replies" in prose(rendered(study))


def test_a_key_that_came_back_is_nowhere_on_the_page(outputs, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-0123456789")
    study = live(tmp_path, "http://127.0.0.1:9/v1")
    with open_store(study.store_path, write=True) as store:
        numbers = store.plan("gpt-4o", "base", [Question("persona", 0, 1, "i", "h", 1)])
        store.add([Answer(numbers["persona", 0, 1], 1, None, "unparseable", "your key is sk-0123456789")])
    page = rendered(study)
    assert "sk-0123456789" not in page and "sk-0123456789" not in json.dumps(content(page))
    assert (
        "1 reply held the key of an endpoint, which is not shown: [key removed] stands in its place. Change that key."
        in prose(page)
    )


def test_the_same_ratings_are_the_same_bytes_without_a_date(mini, mini_replies, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    page = mini_replies.read_text(encoding="utf-8")
    assert rendered(mini[0]) == page and not re.search(r"\b(19|20)\d\d-\d\d", page)


# --- when it is made -------------------------------------------------------------------------------------------------


@pytest.fixture
def reported(outputs, tmp_path, monkeypatch):
    """A function that makes the report of a small simulated study, with the committed notebooks for executed ones."""

    def laid(todo, *, server, say):
        for job in todo:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            notebook = json.loads(job.source.read_text(encoding="utf-8"))
            notebook["metadata"]["persona_collapse"] = job.key
            job.output.write_text(json.dumps(notebook), encoding="utf-8")

    monkeypatch.setattr(run_notebooks, "run", laid)
    monkeypatch.setattr("persona_collapse.report.make.run", laid)
    study = {
        "title": "Two", "kind": "simulated", "protocol": {"personas": 4, "repetitions": 2}, "conditions": ["persona", "self"],
        "families": [{"key": "fam", "variants": [
            {"key": "base", "role": "base", "figures": "gpt-4o/base"}, {"key": "bad", "role": "harmful", "figures": "gpt-4o/insecure"},
        ]}],
    }  # fmt: skip

    def made(**changes):
        path = tmp_path / "two.yaml"
        path.write_text(yaml.safe_dump(study | changes), encoding="utf-8")
        loaded = load_study(path)
        return make.make_report(loaded), loaded.outputs

    return made


@pytest.mark.slow
def test_it_is_made_with_the_report_and_anew_when_it_is_gone_and_not_otherwise(reported):
    done, folder = reported()
    page, beside = (folder / "report.html").read_bytes(), folder / "replies.html"
    text = beside.read_bytes()
    assert done == "7 notebooks run" and b'href="replies.html#run=fam/bad"' in page
    assert reported()[0] == "nothing to do"
    beside.unlink()
    assert reported()[0] == "replies made" and beside.read_bytes() == text
    beside.write_bytes(text[:-100])  # as a copy that was cut short
    assert reported()[0] == "replies made" and beside.read_bytes() == text
    assert (folder / "report.html").read_bytes() == page
    assert reported(title="Other")[0] == "7 notebooks run" and b"Other" in beside.read_bytes()
    # A study that wants none loses it, and every link to it.
    assert reported(replies=False)[0] == "7 notebooks run" and not beside.exists()
    assert b'href="replies.html' not in (folder / "report.html").read_bytes()
    assert reported(replies=False)[0] == "nothing to do"
    assert not list(folder.glob(".*.part"))


def test_a_failure_leaves_an_older_page_whole(mini, mini_replies, monkeypatch):
    study, store, _ = mini
    before = mini_replies.read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device", "replies.html")

    monkeypatch.setattr("os.replace", fails)
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", study.outputs.parent)
    with pytest.raises(OSError, match="No space left"):
        make._write_replies(study, store, "key")
    assert mini_replies.read_bytes() == before and not list(study.outputs.glob(".replies*"))


def test_clean_removes_it_and_keeps_ratings_that_were_bought(outputs, tmp_path, capsys):
    write_rows(tmp_path / "base.csv", cell(0, 1, 5) + cell(1, 1, 4))
    study = small_study(tmp_path)
    collect(study)
    (study.outputs / "replies.html").write_text("x")
    assert commands.main(["clean"]) == 0
    assert "small/replies.html" in capsys.readouterr().out and [p.name for p in study.outputs.iterdir()] == ["ratings.sqlite"]


def test_a_printed_report_does_not_lead_to_a_file_that_is_not_there():
    text = '<a href="replies.html#run=a/b">x</a> <a class="replies" href="replies.html">y</a> <a href="#z">z</a>'
    assert pdf._BESIDE.sub("", text) == '<a>x</a> <a class="replies">y</a> <a href="#z">z</a>'
