"""The contract for everyone who is not Python: JSON Schema files, generated from the types.

`python -m kuaixun.schemas.json_schema` writes them; a test holds the committed files to the types.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import msgspec

from kuaixun.schemas.dead_letter import PREFIX, DeadLetter
from kuaixun.schemas.events import LabelledNews, RawNews
from kuaixun.schemas.manifest import Manifest

FOLDER = Path(__file__).with_name("json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_FILES: dict[type[msgspec.Struct], str] = {
    RawNews: "raw_news",
    LabelledNews: "labelled_news",
    DeadLetter: "dead_letter",
    Manifest: "manifest",
}


def generated_files() -> dict[Path, str]:
    """Every schema file's path and the text it must hold."""
    return {
        FOLDER / file_of(type_): msgspec.json.format(msgspec.json.encode(schema_of(type_)), indent=2).decode() + "\n"
        for type_ in _FILES
    }


def file_of(type_: type[msgspec.Struct]) -> str:
    """The name of a type's schema file."""
    return f"{_FILES[type_]}.schema.json"


def schema_of(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of one type, the types it uses under `$defs`."""
    _, definitions = msgspec.json.schema_components([type_], ref_template="#/$defs/{name}")
    for name, definition in definitions.items():
        if "description" in definition:
            definitions[name]["description"] = _as_line(definition["description"])
    own = definitions.pop(type_.__name__)
    if type_ is RawNews:
        # The type forbids unknown fields for the speed of its decoder alone; the contract tolerates them.
        own["additionalProperties"] = True
        own["description"] = "One headline as a producer sends it. Fields beyond these are kept, in `extra`."
    if type_ is DeadLetter:
        own["description"] += (
            " On Kafka this is no JSON: key and value are the record's own bytes, `headers` its own headers, followed"
            f" by one header `{PREFIX}NAME` for every other field."
        )
    return {"$schema": DIALECT, **own} | ({"$defs": definitions} if definitions else {})


def _as_line(docstring: str) -> str:
    """A docstring as one line, the same on every version of Python."""
    return " ".join(inspect.cleandoc(docstring).split())


def main() -> int:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in generated_files().items():
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
