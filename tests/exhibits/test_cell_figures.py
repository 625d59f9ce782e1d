"""Heat maps of cells: what their data are, and that a click shows the replies of the cell and nothing else."""

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import vl_convert

import hostile
from hostile import RUN, assert_is_a_picture, specifications
from persona_collapse.exhibits import cell_figures, theme
from persona_collapse.exhibits.cell_figures import cell_map, cell_maps
from persona_collapse.statistics import published_estimators
from persona_collapse.store.ratings import read_ratings
from persona_collapse.tables import cell_replies
from persona_collapse.tables.cell_replies import CellReplies
from persona_collapse.text import tamed


def counted(*cells):
    """Two personas by two items: how often 0 to 5 was given in each of four cells."""
    found = np.zeros((2, 2, 6), int)
    for place, ratings in zip([(0, 0), (0, 1), (1, 0), (1, 1)], cells, strict=True):
        np.add.at(found[place], ratings, 1)
    return found


#: Cell means 5, 2, 0.5, 3; SDs 0, sqrt(2) = 1.41, 0.71, 0.
SMALL = counted([5, 5], [1, 3], [0, 1], [3, 3])
TOLD = CellReplies([["5 × 2", "3 × 1\n1 × 1"], ["1 × 1\n0 × 1", "3 × 2"]], 0)


@pytest.fixture(scope="module")
def short(mini):
    """The mini study with two personas and two items."""
    study = mini[0]
    instrument = study.instrument.__class__(**{**vars_of(study.instrument), "items": study.instrument.items[:2]})
    return type(study)(study.path, study.file, study.data, instrument, study.personas[:2], study.toxic)


def vars_of(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def texts(spec):
    """The texts that the figure shows when it is opened."""
    svg = vl_convert.vegalite_to_svg(json.dumps(spec))
    return [html.unescape(re.sub(r"<[^>]*>", "", line)) for line in re.findall(r"<text.*?</text>", svg)]


def small(study, what="sd", told=TOLD):
    return theme.spec(cell_map(SMALL, study, what, told))


def packed_rows(spec, field):
    return [row for rows in spec["datasets"].values() for row in rows if field in row]


def test_cells_are_packed_a_row_a_persona_with_their_places_when_sorted(short):
    rows = packed_rows(small(short), "sd")
    assert [(row["Persona"], row["sd"], row["said"]) for row in rows] == [
        (1, "0,1.41", "5 × 2\t3 × 1\n1 × 1"), (2, "0.71,0", "1 × 1\n0 × 1\t3 × 2"),
    ]  # fmt: skip
    # deck order; lowest mean first (3.5 against 1.75); most variance first (2 against 0.5)
    assert [row["places"] for row in rows] == ["0,1,0", "1,0,1"]
    assert [row["mean"] for row in packed_rows(small(short, "mean"), "mean")] == ["5,2", "0.5,3"]


def test_the_noisiest_cell_is_read_first_and_only_that_one(short):
    shown = texts(small(short))
    assert [text for text in shown if "×" in text] == ["3 × 1", "1 × 1"]  # persona 1, item 2
    assert short.personas[0].text[:40] in " ".join(shown) and short.personas[1].text[:40] not in " ".join(shown)
    assert any(short.instrument.items[1].text in text for text in shown)


def test_the_selection_is_wired_to_the_panel(short):
    spec = small(short)
    (pick,) = [param for param in spec["params"] if param["name"] == "cell"]
    assert pick["select"]["on"].startswith("click[") and set(pick["select"]["fields"]) == {"Persona", "Item"}
    assert pick["value"] == [{"Persona": 1, "Item": 2}]
    # the keyboard reaches the two lists
    assert pick["bind"]["Persona"]["options"] == [1, 2] and pick["bind"]["Item"]["input"] == "select"
    panel = spec["vconcat"][1]
    assert {"filter": {"param": "cell", "empty": False}} in panel["transform"]
    assert panel["mark"]["type"] == "text"


@pytest.mark.parametrize("chosen", [(1, 1), (2, 1), (2, 2)])
def test_another_cell_shows_its_own_replies(short, chosen):
    spec = small(short)
    pick = next(param for param in spec["params"] if param["name"] == "cell")
    pick["value"] = [{"Persona": chosen[0], "Item": chosen[1]}]
    lines = TOLD.cells[chosen[0] - 1][chosen[1] - 1].split("\n")
    assert [text for text in texts(spec) if "×" in text] == lines


def test_without_replies_there_is_nothing_to_pick(short):
    spec = theme.spec(cell_map(SMALL, short, "sd"))
    assert [param["name"] for param in spec["params"]] == ["sorted_by"]
    assert not {"using", "still"} & set(spec["usermeta"])


def test_replies_that_were_left_out_are_counted(short):
    using = small(short, told=TOLD._replace(cut=3))["usermeta"]["using"]
    assert "The replies of 3 steadier cells would make this page heavy" in using
    assert "heavy" not in small(short)["usermeta"]["using"]


def test_cells_without_ratings_stay_empty(short):
    counts = SMALL.copy()
    counts[1, 0] = 0
    spec = theme.spec(cell_map(counts, short, "mean", TOLD))
    assert [row["mean"] for row in packed_rows(spec, "mean")] == ["5,2", ",3"]
    json.dumps(spec, allow_nan=False)


def test_a_deck_that_is_not_known_has_numbers(short):
    spec = theme.spec(cell_map(SMALL, replace(short, personas=None), "sd", TOLD))
    assert [row["who"] for row in packed_rows(spec, "who")] == ["persona 1", "persona 2"]
    assert short.personas[0].text[:20] not in json.dumps(spec)


def test_every_run_is_in_the_list_and_the_noisiest_harmful_one_first(mini):
    study, store, _ = mini
    counts = {run: read_ratings(study, store).counts(run, "persona") for run in study.runs}
    spec = theme.spec(cell_maps(counts, study))
    (pick,) = [param for param in spec["params"] if param["name"] == "run"]
    assert pick["bind"]["labels"] == [run.name for run in study.runs]
    noise = {run: cell_figures._variance(charts_moments(study, one)).mean() for run, one in counts.items()}
    harmful = [run for run in study.runs if run.variant.role == "harmful"]
    assert study.runs[pick["value"]] == max(harmful, key=noise.get)
    assert cell_maps({}, study) is None


def charts_moments(study, counts):
    return published_estimators.moments(counts, study.instrument.categories)


def test_a_run_of_full_size_with_its_replies_stays_light(mini):
    """100 personas x 30 items x 10 replies; chatty ones have a budget, see `said`."""
    study = mini[0]
    draw = np.random.default_rng(1)
    counts = draw.multinomial(10, [0.1, 0.1, 0.1, 0.2, 0.2, 0.3], size=(100, 30))
    deck = [study.personas[i % 20] for i in range(100)]
    lines = [["\n".join(f"{k} × {n}" for k, n in enumerate(cell) if n) for cell in row] for row in counts]
    spec = theme.spec(cell_map(counts, replace(study, personas=deck), "sd", CellReplies(lines, 0)))
    assert len(json.dumps(spec)) < 350_000


def test_hostile_replies_are_data_and_drawn_as_text(short):
    """All of them in one cell, with and without a rating."""
    lines = [
        line
        for payload in hostile.PAYLOADS
        for line in cell_replies._lines([(None, "unparseable", payload, 1), (5, None, payload, 1)])
    ]
    spec = small(short, told=CellReplies([["5 × 2", "\n".join(lines)], ["1 × 1", "3 × 2"]], 0))
    assert [text for key, text in specifications(spec) if key in RUN and "pwn" in text] == []
    assert_is_a_picture(vl_convert.vegalite_to_svg(json.dumps(spec)))
    shown = "".join("".join(texts(spec)).split())
    # Longer ones are cut; each begins as it was written.
    assert [text for text in hostile.PAYLOADS if "".join(tamed(text).split())[:60] not in shown] == []


def test_the_figure_of_a_real_run_holds_what_the_store_says(mini):
    study, store, _ = mini
    run = study.run("gpt-4o", "insecure")
    counts = read_ratings(study, store).counts(run, "persona")
    found = cell_replies.replies_of_cells(read_ratings(study, store), run)
    spec = theme.spec(cell_map(counts, study, "sd", found))
    for row in packed_rows(spec, "said"):
        for item, text in enumerate(row["said"].split("\t")):
            told = {int(line.split(" × ")[0]): int(line.split(" × ")[1]) for line in text.split("\n")}
            assert told == {k: n for k, n in enumerate(counts[row["Persona"] - 1, item]) if n}
