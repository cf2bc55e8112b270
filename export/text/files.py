"""The text pipeline as files: the three that a checkpoint and a bundle carry alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from kuaixun.export.plain_json import read_plain_json
from kuaixun.export.text.file_names import CODE_POINTS_FILE, PATTERNS_FILE, VOCABULARY_FILE
from kuaixun.export.text.folding import CodePointTable
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import Vocabulary
from kuaixun.schemas.manifest import TextParameters

T = TypeVar("T")


def pipeline_to_files(pipeline: TextPipeline) -> dict[str, bytes]:
    """The contents of the pipeline's files by name; its parameters stand elsewhere, in the manifest."""
    patterns = msgspec.json.format(msgspec.json.encode(pipeline.patterns), indent=1)
    return {
        CODE_POINTS_FILE: pipeline.table.to_text().encode(),
        PATTERNS_FILE: patterns + b"\n",
        VOCABULARY_FILE: pipeline.vocabulary.to_text().encode(),
    }


def pipeline_from_files(parameters: TextParameters, files: Mapping[str, bytes]) -> TextPipeline:
    """Read what `pipeline_to_files` wrote. Raises ValueError, with the file's name, for anything else."""
    return TextPipeline(
        parameters,
        _parse(CODE_POINTS_FILE, files, lambda content: CodePointTable.from_text(content.decode())),
        _parse(PATTERNS_FILE, files, _read_patterns),
        _parse(VOCABULARY_FILE, files, lambda content: Vocabulary.from_text(content.decode())),
    )


def _read_patterns(content: bytes) -> Patterns:
    """What the file leaves out it means to leave out: the defaults are for those who make a pipeline."""
    tree = read_plain_json(content)
    patterns = msgspec.json.decode(content, type=Patterns)
    if missing := {"patterns", "entities"} - tree.keys():
        raise ValueError(f"the field {min(missing)} is missing")
    return patterns


def _parse(name: str, files: Mapping[str, bytes], parse: Callable[[bytes], T]) -> T:
    try:
        return parse(files[name])
    except (ValueError, msgspec.DecodeError) as error:
        raise ValueError(f"{name}: {error}") from error
