"""A small student with random weights, exported for real: what the tests of this package look at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kuaixun.export.bundle.golden import GOLDEN_TEXTS
from kuaixun.export.bundle.reader import Bundle, read_bundle
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint, CheckpointRecord
from kuaixun.export.student.ngrams import OWNER_SHIFT, ngram_hashes
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.text.folding import CodePointTable, unicode_table
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import Vocabulary, count_vocabulary
from kuaixun.schemas.manifest import (
    Architecture,
    DataFile,
    NgramBranch,
    Precision,
    PrecisionCost,
    PrecisionCosts,
    TextParameters,
    Training,
)
from tests.export.cpp_build import built

LABELS = ("finance", "sports", "game")


@pytest.fixture(scope="session")
def table() -> CodePointTable:
    return unicode_table()


@pytest.fixture(scope="session")
def pipeline(table: CodePointTable) -> TextPipeline:
    """Cuts at 24 tokens and 300 raw characters, so that both cuts are met."""
    parameters = TextParameters(max_tokens=24, max_raw_chars=300)
    counted = TextPipeline(parameters, table, Patterns(), Vocabulary(())).clean(GOLDEN_TEXTS)
    return TextPipeline(parameters, table, Patterns(), count_vocabulary(counted, max_size=400))


@pytest.fixture(scope="session")
def checkpoint(pipeline: TextPipeline) -> Checkpoint:
    torch.manual_seed(20)
    architecture = Architecture(
        vocabulary_size=len(pipeline.vocabulary),
        embedding_size=12,
        widths=(2, 3, 5),
        filters=16,
        ngrams=NgramBranch(orders=(1, 2, 3), bucket_bits=8, size=4),
    )
    module = TextCNN(architecture, len(LABELS))
    assert module.ngrams is not None
    # Some of the n-grams of low ids own their bucket: owners and rivals are both met everywhere.
    hashes = ngram_hashes(torch.cartesian_prod(torch.arange(1, 61), torch.arange(1, 61)), module.ngrams.branch)
    owned = hashes[hashes >= 0]
    module.ngrams.owners[owned % 256] = (owned >> OWNER_SHIFT).short()
    record = CheckpointRecord(
        labels=LABELS,
        text=pipeline.parameters,
        architecture=architecture,
        temperature=1.5,
        precision=Precision(
            default="int8",
            costs=PrecisionCosts(
                bf16=PrecisionCost(accuracy_difference=0.0, label_agreement=1.0, largest_logit_difference=0.01),
                int8=PrecisionCost(accuracy_difference=-0.0002, label_agreement=0.9994, largest_logit_difference=0.1),
            ),
        ),
        metrics={"dev": {"accuracy": 0.5}},
        training=Training(
            command="kuaixun-trainer distil",
            seed=20,
            versions={"torch": str(torch.__version__)},
            data=(DataFile(role="train", name="train.txt", rows=1, sha256="0" * 64),),
            label_counts={label: number for number, label in enumerate(LABELS)},
        ),
    )
    return Checkpoint(record, pipeline, {name: tensor.numpy() for name, tensor in module.state_dict().items()})


@pytest.fixture(scope="session")
def bundle_path(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "small"
    write_bundle(path, checkpoint)
    return path


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    return read_bundle(bundle_path)


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The folder with the C++ runtime's programs and its shared library."""
    return built("cpp")
