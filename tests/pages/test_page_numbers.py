"""Every number of the appendix is one of the table files: tables, figures and intervals in sentences are walked one by one."""

import csv
import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from persona_collapse.exhibits import validity_tables
from persona_collapse.sections.record import all_tables
from persona_collapse.statistics.published_estimators import moments
from persona_collapse.store.ratings import read_ratings
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.tables import frontier
from persona_collapse.tables.build import write

#: What the page and the figures call a metric of the files.
NAMED = {
    "Susceptibility S": "susceptibility", "Robustness R": "robustness", "Within-persona noise": "within_rms", "ICC": "icc",
    "Within-persona SD": "within_sd",
}  # fmt: skip
#: Tables that hold words, sums and hashes, but no result.
WORDS = ("Items of the questionnaire", "Runs of the study", "Why a rating can", "Data dictionary", "What went in")


class Tables(HTMLParser):
    """Caption and rows of cells of every numbered table."""

    def __init__(self):
        super().__init__()
        self.found, self._into, self._text, self._open = [], None, [], False

    def handle_starttag(self, tag, attributes):
        kind = dict(attributes).get("class", "")
        if tag == "p" and kind == "caption":
            self.found.append(["", []])
            self._into, self._text, self._open = "caption", [], True
        elif tag == "tr" and self._open:
            self.found[-1][1].append([])
        elif tag in ("th", "td") and self._open:
            self._into, self._text = "cell", []

    def handle_data(self, data):
        if self._into:
            self._text.append(data)

    def handle_endtag(self, tag):
        if tag == "p" and self._into == "caption":
            self.found[-1][0], self._into = "".join(self._text), None
        elif tag in ("th", "td") and self._into == "cell":
            self.found[-1][1][-1].append("".join(self._text).strip())
            self._into = None
        elif tag == "table":
            self._open = False  # those of figures have no caption


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def files(mini, mini_page):
    """Every table file of the mini study, as text."""
    study, _, found = mini
    write(study, all_tables(found))
    return {path.stem: rows_of(path) for path in sorted((study.outputs / "tables").glob("*.csv"))}


@pytest.fixture(scope="module")
def page(mini_page):
    return mini_page.read_text(encoding="utf-8")


def same(shown, value):
    """Whether a number as printed is this one, to the digits it is printed with."""
    digits = len(shown.partition(".")[2])
    return value != "" and abs(float(shown) - float(value)) <= 0.5 * 10**-digits * (1 + 1e-9)


def numbers(cell):
    return re.findall(r"[-+]?\d+\.?\d*", cell.replace("\u2212", "-"))


def one(rows, **keys):
    """The only row with these entries."""
    found = [row for row in rows if all(row[name] == value for name, value in keys.items())]
    assert len(found) == 1, (keys, len(found))
    return found[0]


class Walk:
    """What a cell of a table stands for in the files: one method a kind of table."""

    def __init__(self, study, files):
        self.files, self.runs = files, {run.name: run for run in study.runs}
        self.families = {family.name: family for family in study.file.families}
        self.scopes = {"overall": "overall"} | {study.instrument.short(f): f for f in study.instrument.foundations}
        self.study = study

    def key(self, name):
        return {"family": self.runs[name].family.key, "variant": self.runs[name].variant.key}

    def every_run(self, caption, head, row):
        """Metric by scope, with interval or standard error."""
        metric = next(key for name, key in NAMED.items() if name in caption)
        method = "recommended" if "recommended estimator" in caption else "published"
        for scope, cell in zip(head[1:], row[1:], strict=True):
            found = one(self.files["metrics"], **self.key(row[0]), metric=metric, method=method, scope=self.scopes[scope])
            names = ("value", "lo", "hi") if method == "recommended" else ("value", "se")
            yield cell, [found[name] for name in names]

    def quality(self, caption, head, row):
        found = one(self.files["quality"], **self.key(row[0]), condition=row[1])
        for name, cell in zip(head[2:], row[2:], strict=True):
            if name == "repetitions":
                yield cell, list(dict.fromkeys([found["min_repetitions"], found["max_repetitions"]]))
            elif name != "stack":
                yield cell, [found[name.replace(" ", "_")]]

    def saturation(self, caption, head, row):
        for name, cell in zip(head[1:], row[1:], strict=True):
            measure, _, condition = name.partition(" (")
            condition = {"personas)": "persona", "self)": "self", "": "self"}[condition]
            yield (
                cell,
                [
                    one(self.files["saturation"], **self.key(row[0]), condition=condition, measure=measure.replace(" ", "_"))[
                        "value"
                    ]
                ],
            )

    def companions(self, caption, head, row):
        for name, cell in zip(head[1:], row[1:], strict=True):
            metric = name.lower().replace(" ", "_")
            yield (
                cell,
                [one(self.files["metrics"], **self.key(row[0]), metric=metric, method="recommended", scope="overall")["value"]],
            )

    def headlines(self, caption, head, row):
        found = one(self.files["headlines"], headline=row[0])
        cells = dict(zip(head, row, strict=True))
        yield cells["recommended"], [found["value"], found["lo"], found["hi"]]
        assert cells["verdict"] == found["verdict"]
        yield cells["same verdict"], [found["agree"], found["choices"]]
        yield cells["median"], [found["median"]]
        for name, column in (("joint p", "p_joint"), ("p (Holm)", "p_holm")):
            assert cells[name] == validity_tables.p_text(float(found[column]))

    def choices(self, caption, head, row):
        kind = {
            "susceptibility S against": "susceptibility", "noise against": "noise", "susceptibility S beyond": "susceptibility_excess",
            "noise beyond": "noise_excess", "(ICC, logit)": "anchor",
        }  # fmt: skip
        rows = [r for r in self.files["validity"] if r["kind"] == next(v for k, v in kind.items() if k in caption)]
        if "headline" in head:
            self.of = row[0] if len(row) == len(head) else self.of
            rows, row = [r for r in rows if r["headline"] == self.of], row[-3:]
        words = re.sub(r" \((lowest|highest) of \d+\)$", "", row[0])
        if words.endswith(" alone"):
            family = self.families[words.removesuffix(" alone")].key
            found = [r for r in rows if r["family"] == family and r["group"] == "recommended"]
        elif words == "recommended":
            found = [r for r in rows if r["family"] == "mean" and r["group"] == words]
        else:
            found = [r for r in rows if r["family"] == "mean" and r["choice"] == words]
        assert len(found) == 1 and row[2] == found[0]["verdict"], row
        yield row[1], [found[0][name] for name in ("value", "lo", "hi") if found[0][name]]

    def foundations(self, caption, head, row):
        metric = "susceptibility" if "susceptibility" in caption else "within_rms"
        for scope, cell in zip(head[1:], row[1:], strict=True):
            found = one(self.files["foundation_claims"], **self.key(row[0]), scope=scope, metric=metric)
            assert ("*" in cell) == (float(found["p_holm"]) < 0.05)
            yield cell, [found["value"]]

    def printed(self, caption, head, row):
        cells = dict(zip(head, row, strict=True))
        names = {family.name: family.key for family in self.study.file.families}
        family = names.get(cells["family"], cells["family"])
        about = {"family": family, "variant": cells["variant"], "metric": cells["metric"]}
        yield cells["simulated"], [one(self.files["metrics"], **about, method="published", scope="overall")["value"]]

    def verdict(self, caption, head, row):
        found = one(self.files["verdict"], **self.key(row[0]))
        columns = {
            "S (%)": "s", "noise (%)": "noise", "S beyond control (pp)": "excess_s", "noise beyond control (pp)": "excess_noise",
            "style share": "share",
        }  # fmt: skip
        for name, cell in zip(head[1:], row[1:], strict=True):
            if column := columns.get(name):
                values = [found[f"{column}{end}"] for end in ("", "_lo", "_hi")]
                yield cell, [*values, *[found["ceiling"]] * (column == "share")]

    RULES = (
        ("The verdict on every variant", verdict), ("Ratings of every run", quality), ("Where ratings lie", saturation), ("Companions of S", companions),
        ("Every headline", headlines), ("Analysis by analysis", choices), ("by group of items, in percent", foundations),
        ("of every run, over all items", every_run), ("Printed figures", printed),
    )  # fmt: skip


def profile_rows(walk, head, rows):
    """The table of profiles: the model stands once over its variants."""
    model = ""
    for row in rows:
        model, variant, *cells = row if len(row) == len(head) else (model, *row)
        family = walk.families[model]
        hostile = variant == "hostile characters"
        if hostile:
            key = {"variant": family.base.key, "condition": "toxic", "persona": ""}
        else:
            key = {"variant": next(v.key for v in family.variants if v.name == variant), "condition": "self", "persona": ""}
        for foundation, cell in zip(head[2:], cells, strict=True):
            found = one(walk.files["profiles"], family=family.key, foundation=foundation, **key)
            yield cell, [found["mean"], found["between_sd" if hostile else "within_sd"]]


def test_every_number_of_every_table_is_in_its_file(mini, files, page):
    parser, walk = Tables(), Walk(mini[0], files)
    parser.feed(page)
    walked = 0
    for caption, rows in parser.found:
        text = caption.partition(". ")[2]
        if text.startswith(WORDS):
            continue
        head, body = rows[0], rows[1:]
        if text.startswith("Answers without a persona"):
            pairs = list(profile_rows(walk, head, body))
        else:
            rule = next((rule for words, rule in Walk.RULES if words in text), None)
            assert rule, f"no rule says which file this table shows: {text}"
            pairs = [pair for row in body for pair in rule(walk, text, head, row)]
        assert pairs, text
        for cell, values in pairs:
            shown = numbers(cell.replace("–", " "))
            # Where nothing is defined nothing is printed.
            assert len(shown) == len([value for value in values if value != ""]), (text, cell, values)
            assert all(map(same, shown, [value for value in values if value != ""])), (text, cell, values)
            walked += len(shown)
    assert walked > 1000


def test_every_number_of_every_figure_is_in_the_files(mini, files, page):
    """To six significant digits, in a row of the same run; where no run is named, in any row of validity.csv or frontier.csv."""
    study = mini[0]
    names = {(run.family.name, run.variant.name): (run.family.key, run.variant.key) for run in study.runs}
    names |= {("mean of families", run.variant.name): ("mean", run.variant.key) for run in study.runs}
    names |= {(f.name, "hostile characters"): (f.key, f.base.key) for f in study.file.families}
    known = {}
    for name, rows in files.items():
        for row in rows:
            entries = {f"{float(v):.6g}" for k, v in row.items() if k in NUMERIC and v not in ("", "inf")}
            known.setdefault((row.get("family"), row.get("variant")), set()).update(entries)
            known.setdefault(name, set()).update(entries)
    # What the paper prints of frontier models: the band, and each model's S with its interval; and the questionnaire's people.
    models = frontier.references(study)[["value", "se"]].itertuples(index=False)
    people = {f"{value:.6g}" for value in study.instrument.yardstick.means}
    printed = {"0.66", "0.83"} | people | {f"{value + sign * 1.96 * se:.6g}" for value, se in models for sign in (-1, 0, 1)}
    figures = json.loads(re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    walked = 0
    for figure in figures:
        if figure["usermeta"].get("cells"):
            continue  # see below
        for rows in figure.get("datasets", {}).values():
            for row in rows:
                run = names.get((row.get("Model"), row.get("Variant")))
                if run:  # a change is drawn from its base
                    base = next((f.base.key for f in study.file.families if f.key == run[0]), None)
                    own = known[run] | known.get((run[0], base), set())
                else:
                    own = known["validity"] | known["frontier"] | printed
                for field, value in row.items():
                    if isinstance(value, float | int) and field not in DRAWN and value:
                        assert f"{float(value):.6g}" in own, (figure["title"], field, row)
                        walked += 1
    assert walked > 500


#: Columns of the files that hold results.
NUMERIC = {
    "value", "se", "lo", "hi", "lo_repeat", "hi_repeat", "mean", "within_sd", "between_sd", "band_lo", "band_hi", "expected_lo",
    "expected_hi", "range_lo", "range_hi", "distance",
}  # fmt: skip
#: Fields of figures that say where something is drawn.
DRAWN = {"Rating", "step", "turn", "ring", "of"}


def test_every_cell_of_every_figure_is_made_of_the_ratings(mini, page):
    """Cell means and SDs, persona means by foundation, and how often each category was given, to two digits."""
    study, store, _ = mini
    counts = [read_ratings(study, store).counts(run, "persona") for run in study.runs]
    runs = {(run.family.name, run.variant.name): place for place, run in enumerate(study.runs)}
    base = {run.family.name: place for place, run in enumerate(study.runs) if run.variant.role == "base"}
    cells = [moments(one, study.instrument.categories) for one in counts]
    scope, six = scope_matrix(study.instrument), len(study.instrument.categories)
    of = [[i for i, item in enumerate(study.instrument.items) if item.foundation == f] for f in study.instrument.foundations]
    walked = 0
    for row in packed_rows(page):
        p = row["Persona"] - 1
        place = row["run"] if "run" in row else runs[row["Model"], row["Variant"]]
        expected = {"mean": cells[place].mean[p], "sd": np.sqrt(cells[place].variance[p])}
        expected["n"] = [counts[place][p, items, k].sum() for items in of for k in range(six)]
        if "at" in row:
            expected |= {"at": cells[base[row["Model"]]].mean[p] @ scope, "to": cells[place].mean[p] @ scope}
        for name in row.keys() & expected.keys():
            shown = [float(text) for text in row[name].split(",")]
            assert shown == pytest.approx(list(expected[name]), abs=0.00501), (name, row)
            walked += len(shown)
    assert walked > 10_000


def packed_rows(page):
    """Every row of the page's figures that holds packed numbers of a persona."""
    figures = json.loads(re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    made_of_cells = [figure for figure in figures if figure["usermeta"].get("cells")]
    assert len(made_of_cells) == 3
    every = (row for figure in made_of_cells for rows in figure["datasets"].values() for row in rows)
    return [row for row in every if row.keys() & {"mean", "sd", "n", "at"}]


def test_every_interval_in_a_sentence_is_in_the_files(files, page):
    """Value and limits together, with the sign of the direction that the sentence names."""
    text = html.unescape(re.sub(r"<script.*?</script>|<figure.*?</figure>|<table.*?</table>|<[^>]+>", "", page, flags=re.DOTALL))
    found = re.findall(r"([-+]?\d+\.?\d*)(?: %| pp)? \[(-?\d+\.?\d*), (-?\d+\.?\d*)\]", text)
    triples = [
        tuple(float(row[name]) for name in ("value", "lo", "hi"))
        for name in ("metrics", "contrasts", "companions", "validity", "frontier", "foundation_claims", "drift", "normalisation")
        for row in files[name]
        if row.get("lo") not in (None, "") and row["value"] != "inf"
    ]
    for names in (("distance", "lo", "hi"), ("beyond", "beyond_lo", "beyond_hi")):
        triples += [tuple(float(row[name]) for name in names) for row in files["hostile"]]
    triples += [(-value, -hi, -lo) for value, lo, hi in triples]
    assert len(found) > 30
    for shown in found:
        assert any(all(map(same, shown, triple)) for triple in triples), shown
