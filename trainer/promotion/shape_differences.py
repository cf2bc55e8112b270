"""How a student that is about to be trained differs in shape from the one that serves, and the flags that undo it.

The champion's manifest does not tell which of its filters are detectors of words.
"""

from __future__ import annotations

from dataclasses import dataclass

from kuaixun.schemas.manifest import Manifest, NgramBranch
from kuaixun.trainer.student.new_student import StudentShape


@dataclass(frozen=True, slots=True)
class ShapeDifference:
    """One choice by its name, what it is here and what it is for the champion; `flag` makes it the champion's."""

    name: str
    here: str
    champion: str
    flag: str


def shape_differences(champion: Manifest, shape: StudentShape) -> tuple[ShapeDifference, ...]:
    """Where a student of this shape differs from the champion; none where they are alike."""
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
    if shape.prepend_cls != text.prepend_cls:
        flag = "--prepend-cls" if text.prepend_cls else "--no-prepend-cls"
        different.append(ShapeDifference("prepend-cls", _said(shape.prepend_cls), _said(text.prepend_cls), flag))
    return tuple(different)


def _bits(ngrams: NgramBranch | None) -> str:
    return str(ngrams.bucket_bits) if ngrams else "none"


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def _said(switch: bool) -> str:
    return "on" if switch else "off"
