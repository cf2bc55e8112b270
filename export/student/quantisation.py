"""The student in each precision of the native engine, in numpy: to choose the int8 scales and measure what each costs.

fp32 and bf16 differ from C++ by the order of additions in the last layer; int8 is the same arithmetic throughout.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.student.int8_rows import (
    BATCH_TEXTS,
    FEATURE_STEPS,
    ROW_LIMIT,
    WIDEST_SUM_IN_8_BITS,
    best_scales,
    bias_in_steps,
    features_in_steps,
    rounded_rows,
)
from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.export.student.table_rows import Windows, largest_sums, table_rows
from kuaixun.export.student.weights import NgramWeights, StudentWeights
from kuaixun.schemas.manifest import Architecture, NgramBranch, PrecisionName

SCALE_TEXTS = 10_000
INT16_LIMIT = 32767
INT32_LIMIT = 2**31 - 1
# How C++ lays features out: each width's filters padded, products summed in 32 bits over this many at a time.
FILTER_PADDING = 64
CLASSIFY_CHUNK = 1024


def with_best_scales(weights: StudentWeights, ids: NDArray[np.int32]) -> StudentWeights:
    """The weights with the scales that are best for texts (n, tokens), each of at least one token.

    At most 10,000 of them are looked at, evenly spaced.
    """
    ids = ids[np.linspace(0, len(ids), num=min(len(ids), SCALE_TEXTS), endpoint=False, dtype=np.int64)]
    embedding = weights.embedding.numbers  # (vocabulary, size)
    scales = tuple(
        best_scales(table_rows(embedding, convolution), bias, ids)
        for convolution, bias in zip(weights.convolutions, weights.convolution_biases, strict=True)
    )
    return dataclasses.replace(weights, convolution_scales=scales)


def logits_in(
    precision: PrecisionName, weights: StudentWeights, architecture: Architecture, ids: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Logits (n, classes) of texts (n, tokens), each of at least one token, as the native engine computes them."""
    features = _features(precision, weights, ids)  # (n, widths * filters)
    if precision == "int8":
        logits = _int8_last_layer(weights, features)
    elif precision == "bf16":
        logits = (features @ weights.linear.T).astype(np.float64)
    else:
        logits = features.astype(np.float64) @ weights.linear.T.astype(np.float64)
    logits += weights.linear_bias
    if weights.ngrams is not None and architecture.ngrams is not None:
        logits += _ngram_scores(weights.ngrams, architecture.ngrams, ids)
    return logits


def _features(precision: PrecisionName, weights: StudentWeights, ids: NDArray[np.int32]) -> NDArray[Any]:
    """Features (n, widths * filters) after bias and ReLU; in int8, as integers."""
    of_widths, embedding = [], weights.embedding.numbers
    layers = zip(weights.convolutions, weights.convolution_biases, weights.convolution_scales, strict=True)
    for convolution, bias, scales in layers:
        rows = table_rows(embedding, convolution)  # (width, vocabulary, filters)
        batches = (Windows.of(ids[start : start + BATCH_TEXTS], len(rows)) for start in range(0, len(ids), BATCH_TEXTS))
        if precision == "int8":
            rounded = rounded_rows(rows, scales)
            features = [features_in_steps(rounded, bias, scales, windows) for windows in batches]
        else:
            rows = _to_bfloat16(rows) if precision == "bf16" else rows
            features = [np.maximum(largest_sums(rows, windows) + bias, 0) for windows in batches]
        of_widths.append(np.concatenate(features))  # (n, filters)
    return np.concatenate(of_widths, axis=1)


def _to_bfloat16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to the nearest bfloat16, ties to even."""
    bits = numbers.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def _int8_last_layer(weights: StudentWeights, features: NDArray[np.int16]) -> NDArray[np.float64]:
    """Class scores (n, classes) of integer features: weights in int16, with a scale for each class that lets no chunk
    of products overflow 32 bits.
    """
    biases, scales = np.stack(weights.convolution_biases), np.stack(weights.convolution_scales)  # (widths, filters)
    widths = np.array([convolution.shape[2] for convolution in weights.convolutions])
    rows_in_a_sum = np.where(widths <= WIDEST_SUM_IN_8_BITS, 1, widths)[:, None]  # (widths, 1)
    bias_steps = _padded(np.maximum(bias_in_steps(biases, scales), 0))  # (widths, padded)
    largest = (bias_steps + float(FEATURE_STEPS * ROW_LIMIT) * rows_in_a_sum).ravel()  # (features,)
    linear = weights.linear.reshape(-1, *scales.shape).astype(np.float64)  # (classes, widths, filters)
    step_worth = _padded(linear * scales / FEATURE_STEPS).reshape(len(linear), -1)  # (classes, features)

    class_scale = np.abs(step_worth).max(axis=1) / INT16_LIMIT  # (classes,)
    for begin in range(0, len(largest), CLASSIFY_CHUNK):
        chunk = slice(begin, begin + CLASSIFY_CHUNK)
        sums = np.abs(step_worth[:, chunk]) @ largest[chunk]  # (classes,)
        class_scale = np.maximum(class_scale, sums / (INT32_LIMIT - 0.5 * largest[chunk].sum()))
    integer_linear = np.rint(step_worth / np.where(class_scale == 0, 1, class_scale)[:, None])  # (classes, features)
    padded = _padded(features.reshape(-1, *scales.shape).astype(np.float64)).reshape(len(features), -1)  # (n, features)
    scores: NDArray[np.float64] = padded @ integer_linear.T * class_scale  # integers far below 2^53 add up exactly
    return scores


def _padded(of_filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """With zeros for the filters (..., filters) that C++ adds to each width."""
    return np.pad(of_filters, [(0, 0)] * (of_filters.ndim - 1) + [(0, -of_filters.shape[-1] % FILTER_PADDING)])


def _ngram_scores(ngrams: NgramWeights, branch: NgramBranch, ids: NDArray[np.int32]) -> NDArray[np.float64]:
    """Class scores (n, classes) of the n-grams: the same integers in every precision."""
    hashes = ngram_hashes(torch.from_numpy(ids).long(), branch)
    buckets = owned_buckets(hashes, torch.from_numpy(ngrams.owners)).numpy()  # (n, n-grams)
    padded = np.pad(ngrams.scores.steps, ((0, 1), (0, 0)))  # (buckets + 1, classes)
    summed = sum(padded[column].astype(np.int64) for column in buckets.T)  # (n, classes)
    scores: NDArray[np.float64] = summed * ngrams.scores.scales.astype(np.float64)
    return scores
