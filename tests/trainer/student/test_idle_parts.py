"""What a student can do without, and what it cannot."""

from __future__ import annotations

import torch

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.schemas.manifest import Architecture, NgramBranch
from kuaixun.trainer.student.idle_parts import without_idle_parts

ARCHITECTURE = Architecture(
    vocabulary_size=20,
    embedding_size=4,
    widths=(3,),
    filters=5,
    ngrams=NgramBranch(bucket_bits=6, size=3),
)


def test_what_says_something_is_kept() -> None:
    state = {name: tensor.clone() for name, tensor in TextCNN(ARCHITECTURE, 3).state_dict().items()}
    state["linear.weight"][:] = 1.0
    state["ngrams.table"][5] = 1.0

    architecture, kept = without_idle_parts(ARCHITECTURE, state)

    assert architecture == ARCHITECTURE
    assert all(torch.equal(tensor, kept[name]) for name, tensor in state.items())
