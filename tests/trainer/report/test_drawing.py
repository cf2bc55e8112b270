"""Plots that stand inside a page: the page's colours and font, ids of their own, labels of any kind."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kuaixun.trainer.data.analysis import analyse
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.report.data_plots import SHOWN_CLASSES, class_balance, text_lengths
from kuaixun.trainer.report.drawing import INK, SERIES, VARIABLES, columns_of, drawn, label_shown
from kuaixun.trainer.report.quality_plots import (
    MATRIX_CLASSES,
    confusion_matrix,
    coverage_curve,
    reliability_diagram,
    what_abstaining_buys,
)
from kuaixun.trainer.report.state_map import StateMap, draw_map, look_of, name_on_map
from kuaixun.trainer.report.training_plots import learning_curves


def draw(figure: Figure) -> None:
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], "o", color=SERIES[0])
    axes.text(1, 1, "两个$字$ <b>", color=INK)


def of_classes(classes: int) -> Evaluation:
    """Two texts a class, the second taken for the next class."""
    truth = np.repeat(np.arange(classes), 2)
    predicted = np.where(np.arange(2 * classes) % 2, (truth + 1) % classes, truth)
    return evaluate(truth, predicted, np.full(2 * classes, 0.7), tuple(f"类 {number}" for number in range(classes)))


def test_a_drawing_takes_its_colours_and_its_font_from_the_page() -> None:
    drawing = drawn("one", "a line", (3, 2), draw)

    assert "var(--series-1)" in drawing
    assert "var(--ink)" in drawing
    assert not [colour for colour in VARIABLES if colour in drawing]
    assert "font-family" not in drawing
    assert "<style" not in drawing  # it would hold for the whole page


def test_text_stays_text_and_no_formula() -> None:
    drawing = drawn("one", 'says "so"', (3, 2), draw)

    assert ">两个$字$ &lt;b&gt;</text>" in drawing
    assert 'aria-label="says &quot;so&quot;"' in drawing


def test_two_drawings_of_the_same_share_no_id() -> None:
    one, other = (set(re.findall(r' id="([^"]+)"', drawn(name, "", (3, 2), draw))) for name in ("one", "other"))

    assert one
    assert other
    assert one.isdisjoint(other)


def test_the_same_drawing_is_the_same_bytes() -> None:
    assert drawn("one", "", (3, 2), draw) == drawn("one", "", (3, 2), draw)


def test_a_label_is_shown_without_control_characters_and_cut_by_the_width_of_its_script() -> None:
    assert label_shown("a\x1bb\u202ec") == "a·b·c"
    assert label_shown("经济与金融") == "经济与金融"
    assert label_shown("经济" * 10).endswith("经济…")
    assert columns_of(label_shown("经济" * 10)) <= 18
    assert label_shown("x" * 40) == "x" * 17 + "…"


def test_many_classes_are_drawn_without_numbers_and_very_many_as_no_matrix() -> None:
    few, many, too_many = (of_classes(classes) for classes in (3, 30, MATRIX_CLASSES + 1))

    assert ">1</text>" in (confusion_matrix(few) or "")
    drawing = confusion_matrix(many) or ""
    assert ">1</text>" not in drawing
    assert ">类 29</text>" in drawing
    assert confusion_matrix(too_many) is None


def test_texts_without_an_answer_have_a_column_of_their_own() -> None:
    figures = of_classes(3)
    some = evaluate(np.array([0, 1, 2]), np.array([0, 1, -1]), np.array([0.9, 0.8, 0.0]), ("a", "b", "c"))

    assert ">none</text>" not in (confusion_matrix(figures) or "")
    assert ">none</text>" in (confusion_matrix(some) or "")


def test_of_very_many_classes_the_commonest_are_shown() -> None:
    counts = np.arange(1, SHOWN_CLASSES + 12)
    label_ids = np.repeat(np.arange(len(counts)), counts)
    labels = tuple(f"class {number}" for number in range(len(counts)))
    texts = tuple(f"第 {row} 条" for row in range(len(label_ids)))
    analysis = analyse({"train": LabelledTexts(texts, label_ids, labels, Path("train.txt"), "0" * 64)})

    for drawing in (class_balance(analysis), text_lengths(analysis, 32)):
        assert drawing.count(">class ") == SHOWN_CLASSES
        assert f">class {len(counts) - 1}</text>" in drawing
        assert ">class 3</text>" not in drawing


def test_a_training_that_was_looked_at_once_shows_both_its_losses() -> None:
    once = DevFigures(step=5, steps=5, training_loss=0.7, dev_loss=0.5, dev_accuracy=0.9, lowest=True)

    one, two = (learning_curves("curves", history) for history in ([once], [once, replace(once, step=10)]))

    mark = 'style="fill: var(--series-2)'
    assert mark in one
    assert mark not in two


def test_a_matrix_of_many_classes_has_labels_of_the_size_of_all_others() -> None:
    drawing = confusion_matrix(of_classes(50)) or ""

    assert set(re.findall(r"font-size: ([0-9.]+)px", drawing) or re.findall(r"font: ([0-9.]+)px", drawing)) == {"9"}
    width = float(re.findall(r"--drawn-width: ([0-9]+)px", drawing)[0])
    assert width / 50 >= 15  # of CSS's pixels, a line of text each


def test_what_abstaining_buys_is_what_the_figures_say() -> None:
    truth, halves = np.zeros(100, dtype=np.int64), np.repeat([0.9, 0.6], 50)
    surest_right, surest_wrong = (np.repeat(said, 50) for said in ([0, 1], [1, 0]))

    helps, harms = (
        what_abstaining_buys(evaluate(truth, said, halves, ("a", "b"))) for said in (surest_right, surest_wrong)
    )

    assert helps.startswith("Of all answered texts 50.0% are right, of the 50% with a confidence of")
    assert helps.endswith("or more 100.0%.")
    assert harms.endswith("or more 0.0%: abstaining does not help here.")


def test_counts_of_a_reliability_diagram_stand_on_an_axis_that_is_named() -> None:
    drawing = reliability_diagram(of_classes(3))

    assert "logarithmic scale" in drawing
    assert {">1</text>", ">10</text>"} <= set(re.findall(r">[0-9]+</text>", drawing))


def test_of_many_classes_numbers_stand_on_the_map_and_in_its_legend() -> None:
    for classes, name in ((3, ">class 2</text>"), (50, ">50</text>")):
        labels = tuple(f"class {number}" for number in range(classes))
        truth = np.arange(200) % classes
        places = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32)
        drawing = draw_map(StateMap(np.arange(200), places), truth, truth, labels)

        assert drawing.count("</text>") == classes
        assert name in drawing
        assert f">{name_on_map(classes - 1, labels)}</text>" in drawing


def test_figures_that_are_all_of_one_kind_can_be_drawn() -> None:
    wrong = evaluate(np.array([0, 1]), np.array([1, 0]), np.array([0.6, 0.6]), ("a", "b"))
    silent = evaluate(np.array([0, 1]), np.array([-1, -1]), np.array([0.0, 0.0]), ("a", "b"))

    for figures in (wrong, silent):
        assert reliability_diagram(figures)
        assert coverage_curve(figures)
        assert what_abstaining_buys(figures)
        assert confusion_matrix(figures)


def test_no_two_of_forty_classes_look_alike_on_the_map() -> None:
    assert len({look_of(number) for number in range(40)}) == 40
