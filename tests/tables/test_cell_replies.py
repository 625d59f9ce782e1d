"""What was said in a cell, in lines short enough to stand under a heat map."""

import numpy as np
import pytest

import hostile
from importable import cell, small_study, write_rows
from persona_collapse.asking.collect import collect
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.tables import cell_replies
from persona_collapse.text import CONTROLS, LINE


def told(outputs, folder, rows, **options):
    """`said` of a study with one run, read from these rows."""
    write_rows(folder / "base.csv", rows)
    study = small_study(folder)
    collect(study)
    with open_store(study.store_path) as store:
        return cell_replies.replies_of_cells(read_ratings(study, store), study.runs[0], **options)


def replied(rows, *texts):
    """The same rows with these replies."""
    return [row | {"response": text} for row, text in zip(rows, texts, strict=True)]


def test_a_reply_that_is_its_rating_is_told_once_and_a_longer_one_quoted(outputs, tmp_path):
    # Persona 1, item 1: 5 three times, once in words; a 4; and no rating once.
    rows = replied(cell(0, 1, 5, 5, 5, 4, -1), "5", " 5 ", "Five: 5", "4", "I")
    rows += cell(0, 2, 3, 3, 3, 3, 3) + cell(1, 1, 0, 0, 0, 0, 0) + cell(1, 2, 1, 2, 2, 2, 2)
    found = told(outputs, tmp_path, rows)
    assert found.cells[0][0].split("\n") == ["5 × 2", "5 × 1: “Five: 5”", "4 × 1", "no rating (invalid) × 1: “I”"]
    assert found.cells[0][1] == "3 × 5" and found.cells[1][1] == "2 × 4\n1 × 1"
    assert found.cut == 0


def test_a_cell_that_was_never_asked_says_so(outputs, tmp_path):
    rows = cell(0, 1, 5, 5) + cell(0, 2, 5, 5) + cell(1, 1, 5, 5)
    assert told(outputs, tmp_path, rows).cells[1][1] == "nothing was asked"


def test_long_replies_are_cut_and_many_are_counted(outputs, tmp_path):
    many = replied(cell(0, 1, *[5] * 9), *(f"{'very ' * 200}{i}" for i in range(9)))
    rows = many + cell(0, 2, 5) + cell(1, 1, 5) + cell(1, 2, 5)
    lines = told(outputs, tmp_path, rows).cells[0][0].split("\n")
    assert max(map(len, lines)) <= LINE and lines[-1] == f"… and {9 - cell_replies.MOST} more replies, × {9 - cell_replies.MOST}"
    # six replies of at most 260 letters on lines of 88: at most four each
    assert sum(line.startswith("5 × 1: ") for line in lines) == cell_replies.MOST and len(lines) <= 4 * cell_replies.MOST + 1


def test_the_noisiest_cells_keep_their_replies_where_there_is_no_room_for_all(outputs, tmp_path):
    loud = replied(cell(0, 1, 0, 5), "zero, that is 0", "five, that is 5")
    calm = replied(cell(0, 2, 3, 4), "three, so a 3", "four, so a 4")
    rows = loud + calm + cell(1, 1, 2, 2) + cell(1, 2, 2, 2)
    # Ratings alone take 4 + 2 times 5 letters, the loud cell's replies 40 more, the calm cell's 36.
    found = told(outputs, tmp_path, rows, budget=80)
    assert "“zero, that is 0”" in found.cells[0][0]
    assert found.cells[0][1] == "4 × 1\n3 × 1" and found.cut == 1


@pytest.mark.parametrize("payload", hostile.texts(), ids=lambda text: ascii(text)[:20])
def test_a_hostile_reply_is_plain_text_on_its_own_lines(payload):
    lines = cell_replies._lines([(None, "unparseable", payload, 2)])
    assert not CONTROLS.search("".join(lines)) and not any(set("\n\t\r") & set(line) for line in lines)
    assert " ".join(lines).startswith("no rating (unparseable) × 2: ")


def test_of_logprobs_the_distribution_comes_first(mini):
    study = mini[0]
    shares = np.array([0.001, 0, 0.04, 0, 0.25, 0.709])
    logprobs = study.file.model_copy(update={"protocol": study.file.protocol.model_copy(update={"temperature": 1.0})})
    study = type(study)(study.path, logprobs, study.data, study.instrument, study.personas, study.toxic)
    assert cell_replies.shares(shares, study) == ["at T = 1   5: 71 %, 4: 25 %, 2: 4 %"]
    assert cell_replies.shares(np.zeros(6), study) == []
