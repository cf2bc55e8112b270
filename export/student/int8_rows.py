"""Table rows in int8: what rounding makes of a feature, and the scale of each filter that makes the least of it.

The arithmetic is that of `export/cpp/src/student_tables.cc` and its kernels, step for step. A filter has one scale,
what one step of its rows is worth, shared by all places of its window, so that sums and the maximum are those of
integers. Up to four places are summed in 8 bits, and saturate.

So fine a scale that nothing is ever cut off is wasteful: it is ruled by the largest row of every place at once, which
no text holds. A finer one cuts off what is rare and rounds all the rest less. Which is best depends on the texts, hence
on dev texts it is tried: the squared error of each feature decides, and nothing but its own filter's scale moves it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.student.table_rows import Windows, largest_sums

ROW_LIMIT = 127
WIDEST_SUM_IN_8_BITS = 4
# Steps of a feature to one of a row, so that biases are rounded more finely.
FEATURE_STEPS = 8
# With sums of sixteen places, 8 * (16 * 127 + 2047) is under 2^15: a feature has 16 bits.
BIAS_LIMIT_STEPS = 2047.0
# Of the widest scale. On the reference dev texts the best lie between 0.9 and 0.3.
FACTORS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25)
BATCH_TEXTS = 500


def widest_scales(rows: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales (filters,) at which no row and no sum of rows (width, vocabulary, filters) is cut off."""
    width = len(rows)
    largest = np.abs(rows).max(axis=1).astype(np.float64)  # (width, filters)
    if width <= WIDEST_SUM_IN_8_BITS:
        scales = largest.sum(axis=0) / (ROW_LIMIT - width / 2)  # each row of a sum may be rounded up by half a step
    else:
        scales = largest.max(axis=0) / ROW_LIMIT
    return _at_least(scales, bias)


def best_scales(rows: NDArray[np.float32], bias: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """The scales (filters,) of the least squared error over texts (n, tokens), each of at least one token."""
    batches = [Windows.of(ids[start : start + BATCH_TEXTS], len(rows)) for start in range(0, len(ids), BATCH_TEXTS)]
    exact = [np.maximum(largest_sums(rows, windows) + bias, 0) for windows in batches]  # (texts, filters) each
    widest = widest_scales(rows, bias)
    candidates = np.stack([_at_least(widest * factor, bias) for factor in FACTORS])  # (factors, filters)
    errors = np.zeros(candidates.shape)  # (factors, filters)
    for scales, error in zip(candidates, errors, strict=True):
        rounded = rounded_rows(rows, scales)
        for windows, expected in zip(batches, exact, strict=True):
            features = features_in_steps(rounded, bias, scales, windows) * (scales / FEATURE_STEPS)
            error += np.square(features - expected).sum(axis=0)
    # Of equals the first, which is the widest: a filter that no dev text stirs keeps all of its range.
    best: NDArray[np.float32] = np.take_along_axis(candidates, errors.argmin(axis=0)[None], axis=0)[0]
    return best


def rounded_rows(rows: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int16]:
    """Rows (width, vocabulary, filters) in steps of their filter's scale, cut off at 127 on both sides."""
    with np.errstate(over="ignore"):  # an infinite number of steps is cut off like any other
        steps = np.rint(rows * (np.float32(1) / scales))
    return np.clip(steps, -ROW_LIMIT, ROW_LIMIT).astype(np.int16)


def features_in_steps(
    rounded: NDArray[np.int16], bias: NDArray[np.float32], scales: NDArray[np.float32], windows: Windows
) -> NDArray[np.int16]:
    """Features (texts, filters) after bias and ReLU, in eighths of a step."""
    add = _saturating if len(rounded) <= WIDEST_SUM_IN_8_BITS else np.add
    largest = largest_sums(rounded, windows, add)  # (texts, filters)
    sums = largest * np.int16(FEATURE_STEPS) + bias_in_steps(bias, scales).astype(np.int16)
    features: NDArray[np.int16] = np.maximum(sums, np.int16(0))
    return features


def bias_in_steps(bias: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float64]:
    """Biases in eighths of a step, rounded: one for each scale."""
    steps_per_unit = (np.float32(1) / scales).astype(np.float64)
    steps: NDArray[np.float64] = np.rint(bias.astype(np.float64) * steps_per_unit * FEATURE_STEPS)
    return steps


def _saturating(left: NDArray[np.int16], right: NDArray[np.int16]) -> NDArray[np.int16]:
    """The sum in 8 bits."""
    limits = np.iinfo(np.int8)
    sums: NDArray[np.int16] = np.clip(left + right, np.int16(limits.min), np.int16(limits.max))
    return sums


def _at_least(scales: NDArray[np.floating], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scales, none too fine for the filter's bias, and 1 for a filter that does nothing."""
    scales = np.maximum(scales, np.abs(bias.astype(np.float64)) / (BIAS_LIMIT_STEPS - 1)).astype(np.float32)
    return np.where(scales < np.finfo(np.float32).tiny, np.float32(1), scales)
