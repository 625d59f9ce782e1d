"""The export described for machines: Croissant 1.0 (MLCommons) as JSON-LD."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

#: The context that the specification prescribes, https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
#: Whole numbers are floats to readers that cannot hold a missing integer, so only what is never missing is an integer.
_TYPES = {"number": "sc:Float", "boolean": "sc:Boolean"}
_FORMATS = {"csv": "text/csv", "gz": "application/gzip", "parquet": "application/vnd.apache.parquet"}


class DataFile(NamedTuple):
    """A file of the export that holds a table: its path inside the export, its SHA-256, its size in bytes."""

    table: str
    path: str
    sha256: str
    size: int


class About(NamedTuple):
    """What a data set says of itself; an empty text is left out."""

    name: str
    description: str
    cite: str
    licence: str
    date: str
    version: str


def describe(about: About, data: Sequence[DataFile], dictionary: pd.DataFrame) -> str:
    """The text of croissant.json: the files with their sums, and a record set with typed fields for every CSV file."""
    found: dict[str, Any] = {
        "@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.name, "description": about.description, "citeAs": about.cite, "license": about.licence,
        "datePublished": about.date, "version": about.version,
        "distribution": [_file(file) for file in data],
        "recordSet": [_records(file, dictionary) for file in data if not file.path.endswith(".parquet")],
    }  # fmt: skip
    return json.dumps({key: value for key, value in found.items() if value != ""}, indent=1, ensure_ascii=False) + "\n"


def _file(file: DataFile) -> Mapping[str, Any]:
    kind = "text/csv" if file.path.endswith(".csv.gz") else _FORMATS[file.path.rpartition(".")[2]]
    return {
        "@type": "cr:FileObject", "@id": file.path, "name": file.path, "contentUrl": file.path, "contentSize": f"{file.size} B",
        "encodingFormat": kind, "sha256": file.sha256,
    }  # fmt: skip


def _records(file: DataFile, dictionary: pd.DataFrame) -> Mapping[str, Any]:
    fields = [
        {
            "@type": "cr:Field", "@id": f"{file.table}/{row.column}", "name": f"{file.table}/{row.column}",
            "description": f"{row.meaning}{f' ({row.unit})' if row.unit else ''}", "dataType": _type(row.type, row.missing),
            "source": {"fileObject": {"@id": file.path}, "extract": {"column": row.column}},
        }
        for row in dictionary[dictionary["table"] == file.table].itertuples(index=False)
    ]  # fmt: skip
    return {"@type": "cr:RecordSet", "@id": file.table, "name": file.table, "field": fields}


def _type(kind: str, missing: str) -> str:
    if kind == "integer":
        return "sc:Integer" if missing == "never" else "sc:Float"
    return _TYPES.get(kind, "sc:Text")
