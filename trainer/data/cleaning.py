"""Raw texts to what a Hugging Face tokenizer is given: the export pipeline's cleaning, and no other.

A teacher reads what the student will read: width, case and compatibility forms unified, markup and addresses gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import msgspec

from kuaixun.export.text.folding import unicode_table
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import Vocabulary
from kuaixun.schemas.manifest import TextParameters


def clean(texts: Sequence[str]) -> list[str]:
    """The cleaned text of each raw text, in order. Empty where nothing is left."""
    return _pipeline().clean(texts)


@cache
def cleaning_sha256() -> str:
    """The SHA-256 of what cleaning follows from: what is kept of cleaned texts is of use while it is the same."""
    pipeline = _pipeline()
    tables = (pipeline.parameters, pipeline.patterns, pipeline.table.to_text())
    return hashlib.sha256(msgspec.json.encode(tables, order="sorted")).hexdigest()


@cache
def _pipeline() -> TextPipeline:
    """Built once: the table takes a second."""
    return TextPipeline(TextParameters(), unicode_table(), Patterns(), Vocabulary(()))
