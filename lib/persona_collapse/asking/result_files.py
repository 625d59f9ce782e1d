"""Result files that a person puts beside the requests: found under any likely name, read in any likely form."""

import codecs
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from persona_collapse.store.rows import Batch
from persona_collapse.study.study import Study

#: How encodings that are not UTF-8 begin, and what they are.
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: What result files end in, as they are written, saved from a browser or renamed by one.
_ENDINGS = (".jsonl", ".json", ".txt")


def result_paths(study: Study, batch: Batch) -> list[Path]:
    """Files beside <name>.jsonl whose names go on from <name>, such as "<name>_output (1).jsonl"; answers first.

    A line finds its slots by its custom_id, so that no name can put it in a wrong place.
    """
    folder = study.outputs / "batch"
    found = [
        path for path in sorted(folder.glob("*"))
        if path.name.startswith(batch.name) and path.name[len(batch.name) : len(batch.name) + 1] in (".", "_", "-", " ")
        and path.name != f"{batch.name}.jsonl" and path.suffix.lower() in _ENDINGS and path.is_file()
    ]  # fmt: skip
    return sorted(found, key=lambda path: "error" in path.name)


def result_lines(paths: Iterable[Path]) -> Iterator[str]:
    """One result each, as JSON: of files of JSON lines, or of one JSON array, or of objects that go over several lines."""
    for path in paths:
        with path.open("rb") as file:
            head = file.read(4)
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
        with path.open(encoding=encoding, errors="replace") as lines:
            first = next((line for line in lines if line.strip()), "")
            whole = first.lstrip().startswith("[") or first.strip() == "{"
            if not whole:
                yield first
                yield from lines
                continue
        yield from _objects(path.read_text(encoding=encoding, errors="replace"))


def _objects(text: str) -> Iterator[str]:
    """Objects one after another, with or without an array around them; what is left when one is torn comes last, as it is."""
    decoder, at, array = json.JSONDecoder(), 0, text.lstrip().startswith("[")
    between = " \t\r\n," + "[]" * array
    while True:
        while at < len(text) and text[at] in between:
            at += 1
        if at == len(text):
            return
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield text[at : at + 200]
            return
        yield json.dumps(found)
