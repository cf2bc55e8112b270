"""`kuaixun-export classify`: one text per line in, one JSON object per line out, in order, as the lines arrive."""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec

from kuaixun.export.batches import in_batches
from kuaixun.export.classifier import Classifier
from kuaixun.export.patient_streams import read_some, write_whole
from kuaixun.export.predictions import NO_LABEL

READ_BYTES = 1 << 18
BATCH_LINES = 1024  # for each thread, which is worth starting for a fourth of it
UTF8_BYTES_PER_CHARACTER = 4


class ClassifiedLine(msgspec.Struct, frozen=True):
    """What is printed for one line. A line with nothing to classify has no label, confidence 0 and no scores."""

    label: str | None
    confidence: float
    scores: dict[str, float]


def classify_lines(source: int, sink: BinaryIO, classifier: Classifier, threads: int = 1) -> int:
    """Label every line that can be read from the descriptor `source`; returns how many there were.

    Lines end at a newline byte and nowhere else; a last line without one counts; bytes that are not UTF-8 are
    replaced by U+FFFD. Blocks for input, and flushes what it has labelled before it does: lines that are there already
    are labelled together, as many as `threads` are worth, and none waits for lines that are not. Streams that are set
    not to block are waited for all the same.
    """
    encoder = msgspec.json.Encoder()
    # The pipeline reads no further than this into a text, so neither need we.
    limit_bytes = classifier.bundle.manifest.text.max_raw_chars * UTF8_BYTES_PER_CHARACTER
    count = 0
    batch_lines = BATCH_LINES * threads
    for lines in _arriving_lines(source, limit_bytes, batch_lines):
        for batch in in_batches(lines, batch_lines):
            answers = label_lines([line.decode("utf-8", "replace") for line in batch], classifier)
            write_whole(sink, b"".join(encoder.encode(answer) + b"\n" for answer in answers))
        count += len(lines)
    return count


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
