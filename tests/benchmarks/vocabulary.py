"""The time of a text against the size of the vocabulary: `python -m tests.benchmarks.vocabulary FILE.json`.

Bundles of the shipped one's shape with random weights, a vocabulary of another size each. All label the same texts,
drawn from characters that the smallest vocabulary has. A row is found by its number, so the time should not change;
what does change it is how many different rows the texts touch, which is a matter of the texts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import torch

from kuaixun.export import open_classifier
from kuaixun.export.benchmark import drawn_texts
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint, CheckpointRecord
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.text.folding import unicode_table
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import SPECIALS, Vocabulary
from kuaixun.schemas.manifest import (
    Architecture,
    NgramBranch,
    Precision,
    PrecisionCost,
    PrecisionCosts,
    TextParameters,
    Training,
)

SIZES = (2_000, 4_800, 20_000)
LABELS = tuple(f"class{number}" for number in range(10))
FIRST_IDEOGRAPH = 0x4E00
TEXTS = 4096
ROUNDS = 30


def random_bundle(folder: Path, size: int) -> None:
    """Write a bundle with a vocabulary of this size, of ideographs, and with random weights."""
    vocabulary = Vocabulary(tuple(chr(FIRST_IDEOGRAPH + number) for number in range(size - len(SPECIALS))))
    pipeline = TextPipeline(TextParameters(), unicode_table(), Patterns(), vocabulary)
    architecture = Architecture(vocabulary_size=size, ngrams=NgramBranch())
    torch.manual_seed(0)
    module = TextCNN(architecture, len(LABELS))
    assert module.ngrams is not None
    module.ngrams.owners.random_(0, 1 << 15)
    unknown = PrecisionCost(accuracy_difference=0.0, label_agreement=1.0, largest_logit_difference=0.0)
    record = CheckpointRecord(
        labels=LABELS,
        text=pipeline.parameters,
        architecture=architecture,
        temperature=1.0,
        precision=Precision(default="int8", costs=PrecisionCosts(bf16=unknown, int8=unknown)),
        metrics={},
        training=Training(command="random weights", seed=0, versions={}, data=()),
    )
    write_bundle(
        folder, Checkpoint(record, pipeline, {name: tensor.numpy() for name, tensor in module.state_dict().items()})
    )


def measure() -> dict[int, float]:
    """Microseconds a text of the native engine, by size of the vocabulary: medians of rounds taken in turn."""
    shared = Vocabulary(tuple(chr(FIRST_IDEOGRAPH + number) for number in range(min(SIZES) - len(SPECIALS))))
    texts = drawn_texts(shared, TEXTS)
    with tempfile.TemporaryDirectory() as folder:
        classifiers = {}
        for size in SIZES:
            random_bundle(Path(folder) / str(size), size)
            classifiers[size] = open_classifier(Path(folder) / str(size), engine="native", precision="int8", threads=1)
        seconds: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(ROUNDS):
            for size, classifier in classifiers.items():
                started = time.thread_time()
                classifier.classify(texts)
                seconds[size].append(time.thread_time() - started)
    return {size: round(float(np.median(own)) / TEXTS * 1e6, 3) for size, own in seconds.items()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.benchmarks.vocabulary FILE.json")
    figures = [{"vocabulary_size": size, "microseconds": value} for size, value in measure().items()]
    Path(sys.argv[1]).write_bytes(msgspec.json.encode(figures) + b"\n")
    print(msgspec.json.encode(figures).decode())
