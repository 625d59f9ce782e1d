"""A row for every run and instrument of a study: what it is, what was answered, what came of it, and whether it is reported."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse import paths
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

#: States of a run. One that is reported need not be complete.
PLANNED, ASKED, COMPLETE, REPORTED = STATES = ("planned", "asked", "complete", "reported")
#: Tables that rows are made of, each with what is read of it.
_TABLES = {
    "quality": "condition slots valid min_repetitions max_repetitions personas_used personas_dropped first_date last_date",
    "metrics": "scope metric method value lo hi",
    "contrasts": "scope metric method quantity value lo hi",
    "presence": "scope verdict",
    "style": "share lo hi",
    "verdict": "verdict",
}
_MADE_NOW = "numbers computed now, as tables are missing or not of these ratings and this study file"
_INTERVAL = ("", "_lo", "_hi")
COLUMNS = (
    "study", "family", "variant", "role", "dataset", "recipe", "seed", "of", "step", "instrument", "kind", "simulated", "stack",
    "first", "last", "personas", "repetitions", "requested", "rated", "missing_pct",
    *(f"{name}{end}" for name in ("s", "r", "s_change_pct", "r_change_pct", "style_share") for end in _INTERVAL),
    "presence", "verdict", "state", "complete", "file", "note",
)  # fmt: skip


def studies(named: Sequence[str]) -> dict[str, str]:
    """Studies of the register by the name of their outputs, as `load_study` takes them: those of outputs/, then those named.

    Raises ValueError where two files of one name are given, as they would share a folder of outputs.
    """
    found = {path.parent.name: path.parent.name for path in sorted(paths.OUTPUTS.glob("*/ratings.sqlite"))}
    given: dict[str, str] = {}
    for name in named:
        path = study_path(name)
        other = given.setdefault(path.stem, str(name))
        if study_path(other) != path:
            raise ValueError(
                f"studies: {other!r} and {str(name)!r} would have the same outputs {path.stem!r}; rename one of the files"
            )
    return found | given


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
        owner = store.recall("study")
        if owner not in (None, shown(study.path)):
            raise ValueError(
                f"{shown(study.outputs)}: holds the ratings of {owner}, not of {shown(study.path)}; rename one of the two "
                "study files"
            )
        study = with_mark(study, store)
        unasked: tuple[Study, ...] = ()
        if study.further and store.of_one_instrument:
            study, *rest = study.each
            unasked = tuple(rest)
        digests = store.digests(run.keys for run in study.runs)
        named = {run.keys for run in study.runs}
        left = [run for run in store.rated_runs() if run[:2] not in named]
    file, stand = _reported(study)
    same = {run.key for run in study.runs if stand.get(run.key) == digests[run.keys]}
    as_it_is = file == hashlib.sha256(study.path.read_bytes()).hexdigest()
    tables, beside = _tables(study, fresh=as_it_is and len(same) == len(study.runs))
    for one in study.each:
        own = {name: _own(table, one.instrument.key) for name, table in tables.items()}
        there = (study.outputs / one.page).is_file()
        yield from (_of_run(one, run, own, there and run.key in same) | {"note": beside} for run in one.runs)
    nothing = dict.fromkeys(("role", "dataset", "recipe", "seed", "of", "instrument", "stack"), "")
    for family, variant, rated in left:
        yield nothing | {
            "study": study.name, "family": family, "variant": variant, "kind": study.file.kind,
            "simulated": not study.is_evidence,
            "file": shown(study.path), "rated": rated, "state": ASKED, "complete": False,
            "note": "has ratings, and the study file names it no more",
        }  # fmt: skip
    for one in unasked:
        yield from (_about(one, run) | {"state": PLANNED} for run in one.runs)


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


def _reported(study: Study) -> tuple[str, dict[str, str]]:
    """Hashes of the study file and of the ratings of every run that stand in the study's report, as its provenance says."""
    try:
        found = json.loads((study.outputs / "provenance.json").read_text(encoding="utf-8"))
        return str(found["sha256"]["study"]), {str(key): str(run["ratings_sha256"]) for key, run in found["runs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {}


def _tables(study: Study, *, fresh: bool) -> tuple[dict[str, pd.DataFrame], str]:
    """The tables of a study, and what is to be noted of them; what is made now is kept nowhere.

    They are its files where the report is `fresh`, or they are newer than ratings and study file; else they are made now.
    """
    files = {name: study.outputs / "tables" / f"{name}.csv" for name in _TABLES}
    newest = max(study.store_path.stat().st_mtime_ns, study.path.stat().st_mtime_ns)
    there = all(path.is_file() for path in files.values())
    if there and (fresh or all(path.stat().st_mtime_ns >= newest for path in files.values())):
        with suppress(ValueError):  # somebody wrote into them
            return {name: _read(path, columns) for (name, path), columns in zip(files.items(), _TABLES.values(), strict=True)}, ""
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
    made = all_tables(Tables(ratings), list(_TABLES))
    return {name: table for name, table in made.items() if table is not None}, _MADE_NOW


def _read(path: Path, columns: str) -> pd.DataFrame:
    """A table of a study; ValueError where it lacks one of these columns."""
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    if missing := {"family", "variant", *columns.split()} - set(table):
        raise ValueError(f"{shown(path)}: no column {sorted(missing)[0]}")
    return table


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
    found["complete"] = complete = bool(requested) and recorded >= requested
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


def _runs(table: pd.DataFrame) -> pd.DataFrame:
    """A row a run, whatever its questionnaires: its name, and whether it was asked, is complete and is reported.

    It is complete with all of its questionnaires, and reported with all of those that have ratings.
    """
    known = table[table["state"] != ""]
    own = pd.DataFrame(
        {
            "run": known["study"] + ": " + known["family"] + "/" + known["variant"],
            "study": known["study"],
            "dataset": known["dataset"],
            "recipe": known["recipe"],
            "role": known["role"],
            "asked": known["state"] != PLANNED,
            "complete": known["complete"].eq(True),
            "reported": (known["state"] == REPORTED) | (known["state"] == PLANNED),
        }
    )
    runs = own.groupby(own["run"] + " " + known["file"], sort=False).agg(
        dict.fromkeys(("run", "study", "dataset", "recipe", "role"), "first")
        | {"asked": "any", "complete": "all", "reported": "all"}
    )
    return runs.assign(planned=True, reported=runs["reported"] & runs["asked"])


def funnel(table: pd.DataFrame) -> pd.DataFrame:
    """How many runs of each dataset were planned, asked, complete and reported, all of them in the last row.

    A run counts once, whatever its questionnaires; see `_runs` for what complete and reported mean of several.
    """
    runs = _runs(table)
    dataset = runs["dataset"].where(runs["dataset"] != "", runs["role"].map("({}, no dataset named)".format))
    each = runs.groupby(dataset, sort=False)[list(STATES)].sum()
    if len(each) > 1:
        each.loc["all"] = each.sum()
    return each.astype(int).reset_index()


def sentences(table: pd.DataFrame) -> list[str]:
    """What the funnel shows, in words: runs in no report, runs that nobody asked, datasets and recipes reported in part."""
    runs = _runs(table)
    asked = runs[runs["asked"]]
    left, unasked = asked[~asked["reported"]], runs[~runs["asked"]]
    said = [
        f"Of {_number(len(runs), 'run')} planned, {len(asked)} {_verb(len(asked), 'has', 'have')} ratings, "
        f"{int(runs['complete'].sum())} {_verb(int(runs['complete'].sum()), 'is', 'are')} complete and "
        f"{int(runs['reported'].sum())} {_verb(int(runs['reported'].sum()), 'stands', 'stand')} in a report."
    ]
    if len(left):
        verb = _verb(len(left), "stands", "stand")
        said.append(f"{len(left)} of {_number(len(asked), 'run')} with ratings {verb} in no report: {_some(_named(left, runs))}.")
    if len(unasked):
        said.append(f"{_number(len(unasked), 'planned run')} without any rating: {_some(_named(unasked, runs))}.")
    for name in ("dataset", "recipe"):
        each = asked[asked[name].ne("") & asked[name].notna()].groupby(name, sort=False)["reported"].agg(["sum", "size"])
        part = each[(each["sum"] > 0) & (each["sum"] < each["size"])]
        if len(part):
            found = [f"{key!r} ({row['sum']} of {row['size']})" for key, row in part.iterrows()]
            said.append(f"Of the runs with ratings of a {name}, only some are reported: {_some(found)}.")
    wrong = table[table["state"] == ""]
    if len(wrong):
        said.append(f"{_number(len(wrong), 'study', 'studies')} that cannot be read: {_some(list(map(repr, wrong['study'])))}.")
    return said


def _number(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def _verb(number: int, one: str, more: str) -> str:
    return one if number == 1 else more


def _named(some: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """The names of some of the runs; a study all of whose runs are among them stands once."""
    every, found = runs["study"].value_counts(), []
    for study, own in some.groupby("study", sort=False):
        whole = len(own) == every[study] > 1
        found += [f"all {len(own)} of {study!r}"] if whole else [repr(name) for name in own["run"]]
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
