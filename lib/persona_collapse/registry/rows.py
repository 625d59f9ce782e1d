"""A row for every run and instrument of a study: what it is, what was answered, what came of it, and whether it is reported."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse import paths
from persona_collapse.input_errors import listing
from persona_collapse.paths import shown
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings, with_mark
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study, study_path
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.quality import MISSING
from persona_collapse.vocabulary import RECOMMENDED

#: States of a run, each holding those before it.
PLANNED, ASKED, COMPLETE, REPORTED = STATES = ("planned", "asked", "complete", "reported")
#: Tables that rows are made of.
_TABLES = ("quality", "metrics", "contrasts", "presence", "style", "verdict")
_INTERVAL = ("", "_lo", "_hi")
COLUMNS = (
    "study", "family", "variant", "role", "dataset", "recipe", "seed", "of", "step", "instrument", "kind", "simulated", "stack",
    "first", "last", "personas", "repetitions", "requested", "rated", "missing_pct",
    *(f"{name}{end}" for name in ("s", "r", "s_change_pct", "r_change_pct", "style_share") for end in _INTERVAL),
    "presence", "verdict", "state", "file", "note",
)  # fmt: skip


def studies(named: Sequence[str]) -> dict[str, str]:
    """Studies of the register by the name of their outputs, as `load_study` takes them: those of outputs/, then those named."""
    found = {path.parent.name: path.parent.name for path in sorted(paths.OUTPUTS.glob("*/ratings.sqlite"))}
    return found | {study_path(name).stem: str(name) for name in named}


def of_study(name: str) -> list[dict[str, Any]]:
    """Rows of one study, by its name or path; a study that cannot be read is one row with the reason as its note."""
    try:
        study = load_study(name, files=False)
        return list(_rows(study))
    except (OSError, ValueError) as error:
        return [{"study": study_path(name).stem, "file": shown(study_path(name)), "note": str(error), "state": ""}]


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The register as a table: rows in the order of studies, columns as in `COLUMNS`."""
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = ["step", "personas", "requested", "rated"]
    return table.astype({name: "Int64" for name in whole})


def _rows(study: Study) -> Iterator[dict[str, Any]]:
    if not study.store_path.is_file():
        for one in study.each:
            yield from (_about(one, run) | {"state": PLANNED} for run in one.runs)
        return
    with open_store(study.store_path) as store:
        study = with_mark(study, store)
        digests = store.digests(run.keys for run in study.runs)
    shown = _reported(study)
    same = {run.key for run in study.runs if shown.get(run.key) == digests[run.keys]}
    tables, beside = _tables(study, fresh=len(same) == len(study.runs))
    for one in study.each:
        own = {name: _own(table, one.instrument.key) for name, table in tables.items()}
        there = (study.outputs / one.page).is_file()
        yield from (_of_run(one, run, own, there and run.key in same) | {"note": beside} for run in one.runs)


def _about(study: Study, run: Run) -> dict[str, Any]:
    """What the study file says of a run."""
    variant = run.variant
    return {
        "study": study.name, "family": run.family.key, "variant": variant.key, "role": variant.role,
        "dataset": variant.dataset or "", "recipe": variant.recipe or "",
        "seed": "" if variant.seed is None else str(variant.seed),
        "of": variant.of or "", "step": variant.step, "instrument": study.instrument.key, "kind": study.file.kind,
        "simulated": not study.is_evidence, "stack": study.known_stack(run), "file": shown(study.path),
    }  # fmt: skip


def _reported(study: Study) -> dict[str, str]:
    """The hash of the ratings of every run that stand in the study's report, as its provenance says."""
    try:
        found = json.loads((study.outputs / "provenance.json").read_text(encoding="utf-8"))["runs"]
        return {str(key): str(run["ratings_sha256"]) for key, run in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _tables(study: Study, *, fresh: bool) -> tuple[dict[str, pd.DataFrame], str]:
    """The tables of a study: its files where the report is `fresh`, or they are newer than ratings and study file; else made now.

    What is made now is kept nowhere.
    """
    files = {name: study.outputs / "tables" / f"{name}.csv" for name in _TABLES}
    newest = max(study.store_path.stat().st_mtime_ns, study.path.stat().st_mtime_ns)
    there = all(path.is_file() for path in files.values())
    if there and (fresh or all(path.stat().st_mtime_ns >= newest for path in files.values())):
        try:
            return {name: pd.read_csv(path, keep_default_na=False, na_values=[""]) for name, path in files.items()}, ""
        except (pd.errors.ParserError, UnicodeDecodeError):
            pass  # somebody wrote into it
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
    made = all_tables(Tables(ratings), _TABLES)
    return {
        name: table for name, table in made.items() if table is not None
    }, "numbers computed now, as tables are older than ratings"


def _own(table: pd.DataFrame, instrument: str) -> pd.DataFrame:
    return table[table["instrument"] == instrument] if "instrument" in table else table


def _of_run(study: Study, run: Run, tables: Mapping[str, pd.DataFrame], reported: bool) -> dict[str, Any]:
    found = _about(study, run)
    quality = _row(tables, "quality", run, condition="persona")
    requested, rated = int(quality.get("slots", 0)), int(quality.get("valid", 0))
    # A row says why a rating is missing; what has neither is not answered yet.
    recorded = rated + sum(int(quality.get(reason, 0)) for reason in MISSING if reason != "absent")
    low, high = quality.get("min_repetitions", 0), quality.get("max_repetitions", 0)
    found |= {
        "first": quality.get("first_date"), "last": quality.get("last_date"), "requested": requested, "rated": rated,
        "personas": int(quality.get("personas_used", 0) + quality.get("personas_dropped", 0)),
        "repetitions": f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}",
        "missing_pct": 100 * (1 - rated / requested) if requested else np.nan,
    }  # fmt: skip
    for name, metric in (("s", "susceptibility"), ("r", "robustness")):
        about = {"scope": OVERALL, "metric": metric, "method": RECOMMENDED}
        found |= _interval(name, _row(tables, "metrics", run, **about))
        found |= _interval(f"{name}_change_pct", _row(tables, "contrasts", run, **about, quantity="change_pct"))
    style = _row(tables, "style", run)
    found |= {f"style_share{end}": style.get(own) for end, own in zip(_INTERVAL, ("share", "lo", "hi"), strict=True)}
    found["presence"] = _row(tables, "presence", run, scope=OVERALL).get("verdict")
    found["verdict"] = _row(tables, "verdict", run).get("verdict")
    complete = bool(requested) and recorded >= requested
    found["state"] = PLANNED if not recorded else REPORTED if reported else COMPLETE if complete else ASKED
    return found


def _row(tables: Mapping[str, pd.DataFrame], name: str, run: Run, **about: str) -> dict[str, Any]:
    """The row of a run in a table; empty where it has none, and without what is missing in it."""
    table = tables.get(name)
    if table is None or table.empty:
        return {}
    own = (table["family"] == run.family.key) & (table["variant"] == run.variant.key)
    for column, value in about.items():
        own &= table[column] == value
    rows = table[own]
    return {str(key): value for key, value in rows.iloc[0].items() if pd.notna(value)} if len(rows) else {}


def _interval(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}{end}": row.get(own) for end, own in zip(_INTERVAL, ("value", "lo", "hi"), strict=True)}


def funnel(table: pd.DataFrame) -> pd.DataFrame:
    """How many runs of each dataset were planned, asked, complete and reported; a run counts once, whatever its instruments."""
    known = table[table["state"] != ""]
    place = known["state"].map({state: n for n, state in enumerate(STATES)})
    dataset = known["dataset"].where(known["dataset"] != "", known["role"].map(lambda role: f"({role}, no dataset named)"))
    runs = pd.DataFrame(
        {"dataset": dataset, "run": known["file"] + " " + known["family"] + "/" + known["variant"], "place": place}
    )
    each = runs.groupby(["dataset", "run"], sort=False)["place"].max().reset_index()
    counted = {state: each[each["place"] >= n].groupby("dataset", sort=False).size() for n, state in enumerate(STATES)}
    return pd.DataFrame(counted).fillna(0).astype(int).rename_axis("dataset").reset_index()


def sentences(table: pd.DataFrame) -> list[str]:
    """What the funnel shows, in words: runs that stand in no report, and runs that nobody asked."""
    known = table[table["state"] != ""].drop_duplicates(["file", "family", "variant", "state"])
    names = known["study"] + ": " + known["family"] + "/" + known["variant"]
    answered = known["state"] != PLANNED
    left, unasked = names[answered & (known["state"] != REPORTED)], names[~answered]
    said = [
        f"{len(left)} of {int(answered.sum())} runs with ratings stand in no report" + (f": {_some(left)}." if len(left) else ".")
    ]
    if len(unasked):
        said.append(f"{len(unasked)} planned run{'s' * (len(unasked) > 1)} without any rating: {_some(unasked)}.")
    wrong = table[table["state"] == ""]
    if len(wrong):
        said.append(f"{len(wrong)} stud{'ies' if len(wrong) > 1 else 'y'} that cannot be read: {_some(wrong['study'])}.")
    return said


def _some(names: pd.Series) -> str:
    return listing(names.tolist()[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
