"""A new, untrained student: its text pipeline, its architecture and its first weights."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch

from kuaixun.export.batches import in_batches
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.schemas.manifest import Architecture, NgramBranch, TextParameters
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.encoded_texts import CHUNK_TEXTS, EncodedTexts, encode
from kuaixun.trainer.number_ranges import expect_numbers
from kuaixun.trainer.student.keyword_filters import END, detect_keywords, score_classes, tell_apart
from kuaixun.trainer.student.new_pipeline import build_pipeline, initial_embedding
from kuaixun.trainer.student.ngram_owners import ngram_owners

HIGHEST_WIDTH = 16
# The lowest and the highest of each number.
BOUNDS = {
    "filters": (1, 1 << 16),
    "embedding_size": (1, 4096),
    "max_tokens": (1, 4096),
    "vocabulary_size": (4, 1 << 20),
    "minimum_frequency": (1, 1 << 30),
    "ngram_minimum_frequency": (1, 1 << 30),
}


@dataclass(frozen=True, slots=True)
class StudentShape:
    """What is chosen of the architecture and the text pipeline; the rest follows from the data.

    `count_transfer_ngrams` and `count_transfer_characters` let the transfer set have a say in which n-grams own
    buckets and which characters are known. `keyword_filters` makes the widest filters detectors of telling words, which
    stay as they are: see keyword_filters.py; n-grams beside them bring class scores of theirs, whatever the branch's
    size. Raises SettingError for a number out of its range.
    """

    widths: tuple[int, ...] = (2, 3, 4)
    filters: int = 256
    embedding_size: int = 200
    ngrams: NgramBranch | None = None
    max_tokens: int = 32
    prepend_cls: bool = False
    append_cls: bool = False
    drop_latin: bool = False
    vocabulary_size: int = 4800
    minimum_frequency: int = 2
    ngram_minimum_frequency: int = 2
    count_transfer_ngrams: bool = False
    count_transfer_characters: bool = False
    keyword_filters: bool = False

    def __post_init__(self) -> None:
        for name, (lowest, highest) in BOUNDS.items():
            expect_numbers(self, name, at_least=lowest, at_most=highest)
        if (
            sorted(set(self.widths)) != list(self.widths)
            or not self.widths
            or not 1 <= min(self.widths) <= max(self.widths) <= HIGHEST_WIDTH
        ):
            shown = ",".join(map(str, self.widths))
            raise SettingError(f"--widths are {shown}; they must be different, ascending and from 1 to {HIGHEST_WIDTH}")


@dataclass(frozen=True, slots=True, eq=False)
class NewStudent:
    """An untrained student and the texts it is about to learn from; `transfer` are those without labels, if any.

    `pretrained_characters` of its vocabulary start from pretrained vectors; `detected_words` have filters of their own.
    """

    pipeline: TextPipeline
    architecture: Architecture
    module: TextCNN
    texts: EncodedTexts
    transfer: EncodedTexts | None
    pretrained_characters: int
    detected_words: int


def new_student(
    training_texts: LabelledTexts,
    shape: StudentShape,
    *,
    seed: int,
    dropout: float,
    embeddings: CharacterEmbeddings | None = None,
    transfer: TextLines | None = None,
) -> NewStudent:
    """Build a student for the characters and labels of the training texts, on the CPU.

    Raises SettingError where the embeddings are of another size than the shape or the shape is too large to serve,
    DataError where no text has tokens.
    """
    if embeddings is not None and embeddings.size != shape.embedding_size:
        raise SettingError(
            f"the pretrained embeddings are of size {embeddings.size}, the student's of {shape.embedding_size}; "
            f"pass --embedding-size {embeddings.size}, or leave the embeddings away"
        )
    pipeline = build_pipeline(
        training_texts,
        TextParameters(
            max_tokens=shape.max_tokens,
            prepend_cls=shape.prepend_cls,
            append_cls=shape.append_cls or msgspec.UNSET,
        ),
        vocabulary_size=shape.vocabulary_size,
        minimum_frequency=shape.minimum_frequency,
        drop_latin=shape.drop_latin,
        transfer=transfer if shape.count_transfer_characters else None,
    )
    architecture = _architecture(shape, pipeline, len(training_texts.labels))
    torch.manual_seed(seed)
    module = TextCNN(architecture, len(training_texts.labels), dropout)
    # Before the filters that detect words by these very vectors.
    found = initial_embedding(module.embedding.weight, pipeline, embeddings) if embeddings is not None else 0
    words = 0
    if shape.keyword_filters:
        if embeddings is None:
            tell_apart(module.embedding)
        words = _detect_keywords(module, pipeline, training_texts)
    texts = encode(pipeline, training_texts)
    without_labels = encode(pipeline, transfer) if transfer else None
    if module.ngrams is not None:
        counted = [texts.ids]
        if without_labels is not None and shape.count_transfer_ngrams:
            counted.append(without_labels.ids)
        module.ngrams.owners.copy_(ngram_owners(counted, module.ngrams.branch, shape.ngram_minimum_frequency))
    return NewStudent(pipeline, architecture, module, texts, without_labels, found, words)


def _architecture(shape: StudentShape, pipeline: TextPipeline, classes: int) -> Architecture:
    ngrams = shape.ngrams
    if ngrams is not None and shape.keyword_filters:
        ngrams = msgspec.structs.replace(ngrams, size=classes)
    try:
        architecture = Architecture(
            vocabulary_size=len(pipeline.vocabulary),
            embedding_size=shape.embedding_size,
            widths=shape.widths,
            filters=shape.filters,
            ngrams=ngrams,
        )
        architecture.expect_servable(classes)
    except ValueError as error:
        raise SettingError(
            f"{error}; choose a smaller --filters, --widths, --vocabulary-size or --ngram-bits"
        ) from error
    return architecture


def _detect_keywords(module: TextCNN, pipeline: TextPipeline, training_texts: LabelledTexts) -> int:
    """Make the widest filters detectors, and the n-grams' vectors scores; how many words were found."""
    parameters = pipeline.parameters
    cleaned = [text for some in in_batches(training_texts.texts, CHUNK_TEXTS) for text in pipeline.clean(some)]
    start, end = (END if there is True else "" for there in (parameters.prepend_cls, parameters.append_cls))
    marked = [f"{start}{text}{end}" for text in cleaned]
    words = detect_keywords(module, pipeline.vocabulary.characters, marked, training_texts)
    if module.ngrams is not None:
        score_classes(module.ngrams)
    return words
