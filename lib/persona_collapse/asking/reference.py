"""Ratings of human respondents, from the file that a study's `reference` names, into a store of their own."""

from collections.abc import Callable
from dataclasses import replace

from persona_collapse.asking import import_files, source_files
from persona_collapse.asking.import_study import import_run
from persona_collapse.asking.read_table import column_names
from persona_collapse.paths import shown
from persona_collapse.store.column_names import candidates
from persona_collapse.store.ratings import REFERENCE_FILE
from persona_collapse.store.store import open_store
from persona_collapse.study.reference import people_of, people_path
from persona_collapse.study.study import Study
from persona_collapse.study.study_file import Columns


def take_in(study: Study, say: Callable[[str], None] = lambda line: None) -> bool:
    """Read the study's reference file if it is new or changed; returns whether it was read. `say` gets a line on what it holds.

    What was read stays when the file is gone. Raises ValueError, one line that names the study file, file and row.
    """
    people, path = people_of(study), people_path(study)
    if people is None or people.data is None:
        return False
    file = people.data / str(people.runs[0].variant.persona)
    if not file.is_file() and path.is_file():
        return False  # pages are made from what was read
    try:
        people = _answering_once(people)
        files = source_files.run_files(people, people.runs[0])
        if not path.is_file():
            import_files.check(people, {people.runs[0]: files})  # a wrong file leaves nothing
        labels = import_files.all_ids(people)
        with open_store(path, write=True) as store:
            read = import_run(people, people.runs[0], files, labels, store)
            if store.recall(REFERENCE_FILE) != people.runs[0].variant.persona:
                store.remember(REFERENCE_FILE, str(people.runs[0].variant.persona))
            if read:
                report, number = store.origin(*people.runs[0].keys)[1]["persona"], len(store.labels("persona"))
                say(f"{study.name}: reference {report['file']}: {number:,} respondent{'s' * (number != 1)}")
    except ValueError as error:
        raise ValueError(f"{shown(study.path)}, reference: {error}") from None
    return read


def _answering_once(people: Study) -> Study:
    """With a column that tells repetitions apart where a file of a row a rating has none, as where everybody answers once.

    The item's id does: a respondent's rows differ in it, and a second row for an item is refused as the same slot.
    """
    assert people.data is not None
    columns = column_names(people.data / str(people.runs[0].variant.persona))
    given = people.file.columns.given() if people.file.columns else {}
    found = {of: [given[of]] if of in given else candidates(of, columns) for of in ("persona", "item", "rating", "repetition")}
    if "items" in given or found["repetition"] or any(len(found[of]) != 1 for of in ("persona", "item", "rating")):
        return people
    # A copy, which is not checked: in a study file no column is two things.
    both = Columns().model_copy(update=given | {"item": found["item"][0], "repetition": found["item"][0]})
    return replace(people, file=people.file.model_copy(update={"columns": both}))
