"""What the student sees in texts: its pooled states, laid out in the plane by UMAP.

Source: McInnes, Healy and Melville 2018, UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction.
Neighbours in the plane were neighbours in the states; distances between groups say little.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kuaixun.export.batches import in_batches
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.student.tracing import convolutional_module
from kuaixun.trainer.report.drawing import INK, MARKERS, MUTED, SERIES, drawn, label_shown
from kuaixun.trainer.report.label_places import write_names

LEAST_TEXTS = 50  # fewer are a list, no map
NEIGHBOURS = 15
NAMED_CLASSES = 24
NUMBERED_CLASSES = 100  # of more, the numbers would hide the map too
MARKS_AREA, MARK_AREA = 9000.0, (9.0, 25.0)  # in points²: of all marks, and of the least and the greatest one
BATCH_TEXTS = 500


@dataclass(frozen=True, slots=True, eq=False)
class StateMap:
    """The `rows` (n,) of the file that are shown, and their `places` (n, 2)."""

    rows: NDArray[np.int64]
    places: NDArray[np.float32]


def state_map(bundle: Bundle, texts: tuple[str, ...], count: int, seed: int) -> StateMap | None:
    """Draw `count` of the texts that hold something and lay them out; None where there are too few.

    The same seed draws the same texts and gives the same map on the same machine.
    """
    cleaned = bundle.pipeline.clean(texts)
    filled = np.flatnonzero([bool(text) for text in cleaned])  # (m,)
    rows = np.sort(np.random.default_rng(seed).permutation(filled)[:count])  # (n,)
    if len(rows) < LEAST_TEXTS:
        return None
    states = pooled_states(bundle, [texts[row] for row in rows.tolist()])  # (n, features)
    return StateMap(rows, _in_the_plane(states, seed))


def pooled_states(bundle: Bundle, texts: list[str]) -> NDArray[np.float32]:
    """What the convolutions hand to the last layer: (n, widths * filters)."""
    module = convolutional_module(bundle.manifest.architecture, bundle.weights)
    with torch.inference_mode():
        parts = [
            module.pooled(torch.from_numpy(bundle.pipeline.encode(batch).ids).long()).numpy()
            for batch in in_batches(texts, BATCH_TEXTS)
        ]
    return np.concatenate(parts)


def _in_the_plane(states: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba, and of TensorFlow that UMAP could use and does not need
        from umap import UMAP  # takes seconds: only who wants the map waits

        layout = UMAP(n_neighbors=NEIGHBOURS, min_dist=0.15, metric="cosine", random_state=seed, n_jobs=1)
        places: NDArray[np.float32] = layout.fit_transform(states)
    return places


def draw_map(
    found: StateMap, truth: NDArray[np.int64], predicted: NDArray[np.int64], labels: tuple[str, ...]
) -> Markup:
    """A mark a text, in its class's colour and shape, ringed where the student says otherwise; names at the medians.

    Of more than NAMED_CLASSES the numbers from 1 stand there, by which a legend names them.
    """
    of_class, wrong = truth[found.rows], (truth != predicted)[found.rows]  # (n,)
    shown, texts_of = np.unique(of_class, return_counts=True)
    shown = shown[np.argsort(-texts_of, kind="stable")]  # the commonest are named first, so nearest
    area = float(np.clip(MARKS_AREA / len(found.rows), *MARK_AREA))  # in points²

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        for number in sorted(shown.tolist()):
            colour, marker = look_of(number)
            across, up = found.places[of_class == number].T  # (texts,) both
            axes.scatter(across, up, s=area, c=colour, marker=marker, alpha=0.65, linewidths=0)
        across, up = found.places[wrong].T
        axes.scatter(across, up, s=area * 3, facecolors="none", edgecolors=INK, linewidths=0.5)
        axes.set_axis_off()
        axes.margins(0.03)
        if len(labels) <= NUMBERED_CLASSES:
            medians = [np.median(found.places[of_class == number], axis=0) for number in shown.tolist()]
            names = [name_on_map(number, labels) for number in shown.tolist()]
            write_names(axes, [(float(x), float(y)) for x, y in medians], names)

    says = f"Map of {len(found.rows)} texts by the student's states, coloured by class; {int(wrong.sum())} are mistaken"
    return drawn("states", says, (5.6, 4.4), draw)


def name_on_map(number: int, labels: tuple[str, ...]) -> str:
    """What stands for a class on the map: its name, or its place from 1 where names would hide the map."""
    return label_shown(labels[number]) if len(labels) <= NAMED_CLASSES else str(number + 1)


def look_of(number: int) -> tuple[str, str]:
    """Colour and marker of a class; no two of the first forty share both."""
    return SERIES[number % len(SERIES)] if number < 40 else MUTED, MARKERS[number % len(MARKERS)]
