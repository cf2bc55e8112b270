"""How a student that is about to be trained differs in shape from the one that serves, and the flags that undo it.

The champion's architecture does not tell which of its filters are detectors of words; the command of its training does.
Of such a champion the architecture is what was left: how many words and n-grams were tried stands in the command too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kuaixun.schemas.manifest import Manifest, NgramBranch
from kuaixun.trainer.student.new_student import StudentShape

KEYWORDS = "keyword-filters"
LEFT_OF_KEYWORDS = ("filters", "ngram-bits", "ngram-orders")


@dataclass(frozen=True, slots=True)
class ShapeDifference:
    """One choice by its name, what it is here and what it is for the champion; `flag` makes it the champion's."""

    name: str
    here: str
    champion: str
    flag: str


def shape_differences(
    champion: Manifest, shape: StudentShape, recorded: Mapping[str, str]
) -> tuple[ShapeDifference, ...]:
    """Where a student of this shape differs from the champion, whose training had the `recorded` flags; none where
    they are alike.
    """
    architecture, text = champion.architecture, champion.text
    values = {
        "--max-tokens": (shape.max_tokens, text.max_tokens),
        "--widths": (_listed(shape.widths), _listed(architecture.widths)),
        "--filters": (shape.filters, architecture.filters),
        "--embedding-size": (shape.embedding_size, architecture.embedding_size),
        "--ngram-bits": (_bits(shape.ngrams), _bits(architecture.ngrams)),
    }
    if architecture.ngrams:
        orders = shape.ngrams.orders if shape.ngrams else NgramBranch().orders
        values["--ngram-orders"] = (_listed(orders), _listed(architecture.ngrams.orders))
    different = [
        ShapeDifference(flag.removeprefix("--"), str(here), str(there), f"{flag} {there}")
        for flag, (here, there) in values.items()
        if here != there
    ]
    for name, here, there in (
        ("prepend-cls", shape.prepend_cls, text.prepend_cls),
        ("append-cls", shape.append_cls, bool(text.append_cls)),
    ):
        if here != there:
            flag = f"--{name}" if there else f"--no-{name}"
            different.append(ShapeDifference(name, _said(here), _said(there), flag))
    if KEYWORDS in recorded and (there := recorded[KEYWORDS] == f"--{KEYWORDS}") != shape.keyword_filters:
        different.append(ShapeDifference(KEYWORDS, _said(shape.keyword_filters), _said(there), recorded[KEYWORDS]))
    return tuple(different)


def flags_alike(differences: tuple[ShapeDifference, ...], recorded: Mapping[str, str]) -> str:
    """The flags that train a student like the champion: those of its own training, where they are `recorded`, and for
    the rest those that undo the differences.
    """
    of_keywords = recorded.get(KEYWORDS) == f"--{KEYWORDS}"
    undone = {one.name: one.flag for one in differences if not (of_keywords and one.name in LEFT_OF_KEYWORDS)}
    return " ".join({**undone, **recorded}.values())


def _bits(ngrams: NgramBranch | None) -> str:
    return str(ngrams.bucket_bits) if ngrams else "none"


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def _said(switch: bool) -> str:
    return "on" if switch else "off"
