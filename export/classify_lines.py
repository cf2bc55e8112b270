"""`kuaixun-export classify`: one text per line in, one JSON object per line out, in order, as the lines arrive."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import msgspec

from kuaixun.export.batches import in_batches
from kuaixun.export.classifier import Classifier
from kuaixun.export.patient_streams import read_some, write_whole
from kuaixun.export.predictions import NO_LABEL
from kuaixun.export.text.pipeline import TextPipeline

READ_BYTES = 1 << 18
BATCH_LINES = 1024  # for each thread, which is worth starting for a fourth of it
UTF8_BYTES_PER_CHARACTER = 4


class ClassifiedLine(msgspec.Struct, frozen=True):
    """What is printed for one line. A line with nothing to classify has no label, confidence 0 and no scores."""

    label: str | None
    confidence: float
    scores: dict[str, float]


class DumpedLine(msgspec.Struct, frozen=True):
    """What the text pipeline makes of one line: the text that is left, and its token ids without pads."""

    cleaned: str
    ids: list[int]


def dump_lines(source: int, sink: BinaryIO, pipeline: TextPipeline) -> int:
    """As `classify_lines`, with a DumpedLine for each: what `kuaixun-classify --dump` prints, byte for byte."""
    return _answer_lines(source, sink, lambda texts: dumped_lines(texts, pipeline), pipeline, BATCH_LINES)


def dumped_lines(texts: Sequence[str], pipeline: TextPipeline) -> list[DumpedLine]:
    """What the pipeline makes of texts, one each."""
    encoded, parameters = pipeline.encode(texts), pipeline.parameters
    return [
        DumpedLine(cleaned, ids[: min(length + parameters.marks, parameters.max_tokens)].tolist())
        for cleaned, ids, length in zip(pipeline.clean(texts), encoded.ids, encoded.lengths.tolist(), strict=True)
    ]


def classify_lines(source: int, sink: BinaryIO, classifier: Classifier, threads: int = 1) -> int:
    """Label every line that can be read from the descriptor `source`; returns how many there were.

    Lines end at a newline byte and nowhere else; a last line without one counts; bytes that are not UTF-8 are
    replaced by U+FFFD. Blocks for input, and flushes what it has labelled before it does: lines that are there already
    are labelled together, as many as `threads` are worth, and none waits for lines that are not. Streams that are set
    not to block are waited for all the same.
    """
    pipeline = classifier.bundle.pipeline
    return _answer_lines(source, sink, lambda texts: label_lines(texts, classifier), pipeline, BATCH_LINES * threads)


def label_lines(texts: Sequence[str], classifier: Classifier) -> list[ClassifiedLine]:
    """Label texts, one answer each."""
    predictions = classifier.classify(texts)
    rows = zip(
        predictions.label_ids.tolist(), predictions.confidences.tolist(), predictions.scores.tolist(), strict=True
    )
    return [
        ClassifiedLine(None, 0.0, {})
        if label_id == NO_LABEL
        else ClassifiedLine(classifier.labels[label_id], confidence, dict(zip(classifier.labels, scores, strict=True)))
        for label_id, confidence, scores in rows
    ]


def _answer_lines(
    source: int,
    sink: BinaryIO,
    answer: Callable[[Sequence[str]], Sequence[msgspec.Struct]],
    pipeline: TextPipeline,
    batch_lines: int,
) -> int:
    """Write what `answer` makes of the lines, one JSON object each; how many lines there were."""
    encoder = msgspec.json.Encoder()
    # The pipeline reads no further than this into a text, so neither need we.
    limit_bytes = pipeline.parameters.max_raw_chars * UTF8_BYTES_PER_CHARACTER
    count = 0
    for lines in _arriving_lines(source, limit_bytes, batch_lines):
        for batch in in_batches(lines, batch_lines):
            answers = answer([line.decode("utf-8", "replace") for line in batch])
            write_whole(sink, b"".join(encoder.encode(one) + b"\n" for one in answers))
        count += len(lines)
    return count


def _arriving_lines(source: int, limit_bytes: int, wanted: int) -> Iterator[list[bytes]]:
    """Whole lines, each cut to `limit_bytes`: what one read brought to an end, and where more input is there already,
    what further ones do, until there are as many as wanted.
    """
    ready = select.poll()
    ready.register(source, select.POLLIN)
    gathered: list[bytes] = []
    pending = b""
    while block := read_some(source, READ_BYTES):
        *lines, rest = block.split(b"\n")
        if lines:
            lines[0] = pending + lines[0]
            pending = rest
            gathered += [line[:limit_bytes] for line in lines]
        else:
            pending += rest
        pending = pending[:limit_bytes]
        if gathered and (len(gathered) >= wanted or not ready.poll(0)):
            yield gathered
            gathered = []
    if pending:
        gathered.append(pending)
    if gathered:
        yield gathered
