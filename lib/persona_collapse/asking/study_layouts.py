"""Folders of ratings that are recognized, a function each: files in, a draft of a study file out, or None if it is another."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from persona_collapse.asking.find_columns import Found, find_columns
from persona_collapse.asking.read_ratings import ALSO_READ, CONDITIONS, beginning_of, tells_conditions
from persona_collapse.asking.read_table import column_names, read_columns
from persona_collapse.asking.repository_layout import repository
from persona_collapse.asking.source_files import stem
from persona_collapse.asking.study_drafts import Draft, DraftFamily, DraftRun, families_of, key_of
from persona_collapse.paths import INSTRUMENTS
from persona_collapse.store.column_names import OF_RUNS, plain

#: More values than that in a column are no models.
_MOST_RUNS = 100
#: Columns that our exports alone have together.
_EXPORTED = {"family", "variant", "condition", "persona", "item", "repetition", "rating", "reason", "prompt_hash"}


def our_export(folder: Path, files: Sequence[Path]) -> Draft | None:
    """What `make export` writes: one file of all runs, and runs.csv beside it with their roles."""
    named = {path: names for path in files if (names := _names(path))}
    found = [path for path, names in named.items() if _EXPORTED <= set(names)]
    if not found:
        return None
    if len({stem(path)[0] for path in found}) > 1 or len({path.parent for path in found}) > 1:
        several = ", ".join(path.relative_to(folder).as_posix() for path in found)
        raise ValueError(f"{folder}: holds several exports ({several}); a study is made of one; give that one as DATA")
    path, *others = found
    by_instrument = ["instrument"] if "instrument" in named[path] else []
    known = read_columns(path, ["family", "variant", "condition", *by_instrument]).drop_duplicates()
    study = _study_of(path.parent.parent / "study.yaml")
    listed = study.get("instruments")
    instruments = [name for name in map(_instrument, listed if isinstance(listed, list) else ()) if name and by_instrument]
    about = {(row["family"], row["variant"]): row for row in _rows(path.parent / "runs.csv")}
    aside = [f"{_shown(other, folder)}: the same ratings as {path.name}, which is read" for other in others]
    if rest := len(files) - len(found):
        aside.append(f"{rest} other tables, which describe the export or are made from its ratings")
    families: dict[str, list[DraftRun]] = {}
    for family, variant in known[["family", "variant"]].drop_duplicates().itertuples(index=False):
        own = known[(known["family"] == family) & (known["variant"] == variant)]
        places: dict[str, Any] = {c: _shown(path, folder) for c in CONDITIONS if c in set(own["condition"])}
        if instruments:
            asked = {c: [k for k in instruments if ((own["condition"] == c) & (own["instrument"] == k)).any()] for c in places}
            places = {c: dict.fromkeys(keys, place) for (c, place), keys in zip(places.items(), asked.values(), strict=True)}
        said = about.get((family, variant), {})
        more = {name: said[name] for name in ("stack", "control", "of", "step") if said.get(name)}
        if said.get("variant_label") not in (None, "", variant):
            more["label"] = said["variant_label"]
        run = DraftRun(variant, said.get("role", ""), "", places, {"family": family, "variant": variant}, more)
        families.setdefault(family, []).append(run)
    drafts = []
    for family, runs in families.items():
        label = next((row["family_label"] for (key, _), row in about.items() if key == family), "")
        if all(run.role for run in runs):
            drafts.append(DraftFamily(family, "", runs, label if label != family else ""))
        else:
            drafts += families_of([(run.key, run) for run in runs], family)
    title, instrument = str(study.get("title", "")), _instrument(study.get("instrument", ""))
    if instruments:
        instrument = instruments[0]
    return Draft(
        "an export of this project", drafts, "", title, instrument, "as the export says" if instrument else "", aside, instruments
    )


class _Usable(NamedTuple):
    """A file with ratings of personas, and its columns."""

    path: Path
    found: Found


def tables_of_ratings(folder: Path, files: Sequence[Path]) -> Draft | None:
    """Any files with a row a rating or a column an item: a run each, or several told apart by a column."""
    aside: list[str] = []
    usable: list[_Usable] = []
    alone: dict[str, str] = {}
    for path in files:
        name, named = _shown(path, folder), stem(path)[0]
        kind = next((condition for condition in CONDITIONS[1:] if re.search(rf"[ _-]{condition}$", named)), "persona")
        if twin := _twin(path, files):
            aside.append(f"{name}: looked at with {twin.name}, whose name it has with a number; the one with most ratings counts")
        elif same := _same(path, files):
            aside.append(f"{name}: has the name of {same.name}, which is read")
        elif kind != "persona":
            alone[name] = kind
        else:
            try:
                columns = column_names(path)
                usable.append(_Usable(path, find_columns(columns, {}, alone=False, where=name)))
            except ValueError as error:
                aside.append(str(error) if str(error).startswith(name) else f"{name}: {str(error).partition(': ')[2] or error}")
    if not usable:
        if aside:
            more = f" (and {len(aside) - 1} more files)" if len(aside) > 1 else ""
            other = ", or rename columns; docs/import.md shows a study file" if "columns: {" in aside[0] else ""
            raise ValueError(f"{aside[0]}{other}{more}")
        return None
    runs: dict[str, list[tuple[str, DraftRun]]] = {}
    for one in usable:
        for family, name, run in _runs_of(one, folder, alone, aside):
            runs.setdefault(family, []).append((name, run))
    aside += [f"{name}: of the condition {kind}, and no file of personas has its name" for name, kind in alone.items()]
    families: list[DraftFamily] = []
    for draft in (draft for family, own in runs.items() for draft in families_of(own, family)):
        families.append(draft._replace(key=key_of(draft.key, [other.key for other in families])))
    lines = {one.found.line() for one in usable if one.found.note}
    return Draft(
        "files of ratings", families, lines.pop() if len(lines) == 1 and all(u.found.note for u in usable) else "", aside=aside
    )


def _runs_of(one: _Usable, folder: Path, alone: dict[str, str], aside: list[str]) -> list[tuple[str, str, DraftRun]]:
    """Family (empty if no column says it), full name and draft of each run of a file.

    Files of other conditions that bear its name are taken out of `alone`.
    """
    name, own = _shown(one.path, folder), stem(one.path)[0]
    places = {"persona": name}
    for other, kind in list(alone.items()):
        path = folder / other
        if path.parent == one.path.parent and re.fullmatch(rf"{re.escape(own)}[ _-]{kind}", stem(path)[0]):
            places[kind] = other
            del alone[other]
    used = {*one.found.names.values(), *one.found.items}
    unused = [c for c in column_names(one.path) if c not in used and plain(c) not in {*OF_RUNS, *ALSO_READ}]
    if unused:
        aside.append(f"{name}: columns {beginning_of([c or 'without a name' for c in unused])}, which are not read")
    whole = [("", name.removesuffix(stem(one.path)[1]), DraftRun("", "", "", places))]
    telling = [column for group in OF_RUNS for column in column_names(one.path) if plain(column) == group]
    telling = [column for column in telling if column not in used]
    if not telling:
        return whole
    fields = read_columns(one.path, telling)
    if "condition" in fields and tells_conditions(fields):
        present = set(fields["condition"])
        places |= {condition: name for condition in CONDITIONS if condition in present}
        telling.remove("condition")
    kinds = fields[telling].drop_duplicates()
    if one.path.suffix == ".eval" and len(kinds) == 1 and "model" in kinds:
        whole = [("", str(kinds["model"].iloc[0]), whole[0][2])]  # its file has a date and a number for a name
    telling = [column for column in telling if kinds[column].nunique() > 1]
    # The first columns that tell all runs apart are enough.
    while len(telling) > 1 and len(kinds[telling[:-1]].drop_duplicates()) == len(kinds[telling].drop_duplicates()):
        telling = telling[:-1]
    kinds = kinds[telling].drop_duplicates()
    if not telling or len(kinds) > _MOST_RUNS:
        if telling:
            aside.append(f"{name}: columns {', '.join(telling)} take {len(kinds)} values, too many for runs; not used")
        return whole
    empty = (fields[telling] == "").any(axis=1)
    if empty.any():
        aside.append(f"{name}: {int(empty.sum()):,} rows without {' or '.join(telling)}, which are of no run")
    found = []
    for values in kinds[~(kinds == "").any(axis=1)].itertuples(index=False):
        rows = {column: str(value).strip() for column, value in zip(telling, values, strict=True)}
        beside = [value for column, value in rows.items() if plain(column) != "family"]
        family = next((value for column, value in rows.items() if plain(column) == "family"), "")
        found.append((family, " ".join(beside) or family, DraftRun("", "", "", places, rows)))
    return found


#: In the order in which they are tried; the last takes whatever has ratings.
LAYOUTS: tuple[Callable[[Path, Sequence[Path]], Draft | None], ...] = (our_export, repository, tables_of_ratings)


def _names(path: Path) -> list[str]:
    """Columns of a file; none of one that cannot be read, which another layout says."""
    try:
        return column_names(path)
    except ValueError:
        return []


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _twin(path: Path, files: Sequence[Path]) -> Path | None:
    """The file of which another is a numbered copy, as clouds make them."""
    named, ending = stem(path)
    match = re.fullmatch(r"(.+) \d+", named)
    plain_one = path.with_name(f"{match[1]}{ending}") if match else None
    return plain_one if plain_one in files else None


def _same(path: Path, files: Sequence[Path]) -> Path | None:
    """A file before it in the same folder that has its name but for the ending."""
    return next((o for o in files if o != path and o.parent == path.parent and stem(o)[0] == stem(path)[0] and o < path), None)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("family") and row.get("variant") and row.get("role")]


def _study_of(path: Path) -> Mapping[str, object]:
    """The study file that an export carries; nothing where there is none that can be read."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _instrument(name: object) -> str:
    """An instrument that an export names, if it is one of ours and not a path on another machine."""
    return name if isinstance(name, str) and name in {path.stem for path in INSTRUMENTS.glob("*.yaml")} else ""
