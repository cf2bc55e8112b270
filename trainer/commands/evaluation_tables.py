"""What `evaluate` shows on a terminal: a screen of the figures that decide, and the rest on demand."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kuaixun.export.whole_tables import print_whole, quoted
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.evaluation.bootstrap import Interval
from kuaixun.trainer.evaluation.comparison import Comparison
from kuaixun.trainer.evaluation.coverage import CoveragePoint
from kuaixun.trainer.evaluation.measurement import MeasuredModel, Measurement
from kuaixun.trainer.evaluation.row_figures import Example
from kuaixun.trainer.evaluation.target_threshold import LEAST_TEXTS

SHOWN_CLASSES = 20
MATRIX_CLASSES = 12  # 80 columns hold no more
SHOWN_ROWS = 10
SHOWN_CHARS = 40
COVERAGE_STEP = 10  # of the curve's hundredths


def show(measurement: Measurement, console: Console, *, details: bool) -> None:
    """One model by itself, or several in a table; `details` adds the tables of each."""
    alone = len(measurement.models) == 1
    if not alone:
        _show_models(measurement, console)
    for model in measurement.models:
        if alone or details:
            _say(console, "" if alone else f"\n{model.name}")
            _show_classes(model, console, everything=details)
            _show_totals(model, console)
        _show_target(model, measurement, console, "" if alone else f"{model.name}: ")
        if details:
            _show_details(model, console)


def _show_models(measurement: Measurement, console: Console) -> None:
    """A model a row, and below each further one's difference from the first."""
    table = _table("model", "size, MB", "accuracy", "macro F1", "ECE", "speed", words=("model",))
    for model in measurement.models:
        table.add_row(
            quoted(model.name),
            f"{model.size_bytes / 1e6:.1f}" if model.size_bytes is not None else "–",
            f"{model.figures.accuracy:.4f}",
            f"{model.figures.macro_f1:.4f}",
            f"{model.figures.calibration_error:.4f}",
            _times(model.speed_ratio) if model.speed_ratio is not None else "–",
        )
    print_whole(table, console)
    for comparison in measurement.comparisons:
        _say(console, difference_of(comparison))


def difference_of(comparison: Comparison) -> str:
    """A paired difference in words, in points of accuracy and of macro F1."""
    accuracy = _points(comparison.accuracy_difference, comparison.accuracy_interval)
    macro_f1 = _points(comparison.macro_f1_difference, comparison.macro_f1_interval)
    alone = f"{comparison.only_model_right} : {comparison.only_reference_right}"
    return (
        f"{comparison.model} against {comparison.reference}, in points: accuracy {accuracy}, macro F1 {macro_f1}; "
        f"right alone {alone}, McNemar p {comparison.mcnemar_p:.3g}"
    )


def _show_classes(model: MeasuredModel, console: Console, *, everything: bool) -> None:
    """A class a row, and the means below; of very many classes, those that do worst."""
    figures = model.figures
    table = _table("class", "texts", "precision", "recall", "F1")
    shown = figures.classes
    if len(shown) > SHOWN_CLASSES and not everything:
        present = [one for one in shown if one.texts]
        shown = tuple(sorted(present, key=lambda one: one.f1)[:SHOWN_CLASSES])
    for row in shown:
        table.add_row(quoted(row.label), str(row.texts), f"{row.precision:.4f}", f"{row.recall:.4f}", f"{row.f1:.4f}")
    table.add_section()
    macro = (figures.macro_precision, figures.macro_recall, figures.macro_f1)
    weighted = (figures.weighted_precision, figures.weighted_recall, figures.weighted_f1)
    for name, means in (("macro mean", macro), ("weighted mean", weighted)):
        table.add_row(name, str(figures.texts), *(f"{figure:.4f}" for figure in means))
    print_whole(table, console)
    if len(shown) < len(figures.classes):
        _say(console, f"the {len(shown)} lowest F1 of {len(figures.classes)} classes; --details shows all")


def _show_totals(model: MeasuredModel, console: Console) -> None:
    figures = model.figures
    _say(console, f"accuracy {figures.accuracy:.4f} {_between(figures.accuracy_interval)}")
    _say(console, f"macro F1 {figures.macro_f1:.4f} {_between(figures.macro_f1_interval)}")
    if figures.clean_accuracy is not None:
        seen = figures.texts - (figures.clean_texts or 0)
        _say(console, f"accuracy {figures.clean_accuracy:.4f} without the {seen} texts seen in training")
    _say(console, f"expected calibration error {figures.calibration_error:.4f}")
    if figures.unlabelled:
        _say(console, f"{figures.unlabelled} texts had nothing to classify and count as wrong")


def _show_target(model: MeasuredModel, measurement: Measurement, console: Console, prefix: str) -> None:
    """The threshold to set; where it was chosen on dev, what it comes to there and on the data.

    None that rests on few texts: to name it would be to advise it.
    """
    target, data, dev = measurement.target_accuracy, measurement.data, measurement.dev
    if target is None:
        return
    if model.target is None:
        scores_alone = dev and model.size_bytes is None
        reaches = f"no threshold reaches an accuracy of {target:g}" + (f" on {dev}" if dev else "")
        _say(console, prefix + (f"scores of {data} alone choose no threshold on {dev}" if scores_alone else reaches))
        return
    if model.target_rests_on_few:
        reached = f"an accuracy of {target:g} is reached by {model.target_chosen_by} texts of {dev or data}"
        advice = f"fewer than {LEAST_TEXTS} choose no threshold: measure on more texts, or ask for less"
        _say(console, f"{prefix}{reached}, too few: {advice}")
        return
    setting = f"{prefix}KUAIXUN_CONFIDENCE_THRESHOLD={model.target.threshold}"
    if model.target_on_dev is None:
        _say(console, f"{setting} answers {_answered(model.target, 'the texts')}")
        return
    on_dev, on_data = _answered(model.target_on_dev, str(dev)), _answered(model.target, data)
    _say(console, f"{setting}, chosen on {dev}, answers {on_dev}; it answers {on_data}")


def _answered(point: CoveragePoint, texts: str) -> str:
    if point.accuracy is None:
        return f"none of {texts}"
    return f"{100 * point.answered:.1f} % of {texts}, {100 * point.accuracy:.2f} % of them rightly"


def _show_details(model: MeasuredModel, console: Console) -> None:
    figures = model.figures
    _show_confusion([one.label for one in figures.classes], figures.confusion, console)
    table = _table("confidence", "texts", "mean confidence", "accuracy")
    for one in figures.reliability:
        if one.confidence is not None and one.accuracy is not None:
            bounds = f"{one.low:.2f} – {one.high:.2f}"
            table.add_row(bounds, str(one.texts), f"{one.confidence:.4f}", f"{one.accuracy:.4f}")
    print_whole(table, console)
    table = _table("threshold", "answered", "accuracy")
    for point in figures.coverage[::COVERAGE_STEP]:
        accuracy = "–" if point.accuracy is None else f"{point.accuracy:.4f}"
        table.add_row(f"{point.threshold:.2f}", f"{100 * point.answered:.1f} %", accuracy)
    print_whole(table, console)
    _show_rows("highest loss", model.hardest, console)
    _show_rows("lowest loss", model.easiest, console)
    table = _table(
        "row",
        "suspected label errors",
        "label",
        "suggested",
        "confidence",
        words=("suspected label errors", "label", "suggested"),
    )
    for suspect in model.suspects[:SHOWN_ROWS]:
        confidence = f"{suspect.confidence:.3f} : {suspect.given:.3f}"
        table.add_row(
            str(suspect.row), _cut(suspect.text), quoted(suspect.label), quoted(suspect.suggested), confidence
        )
    print_whole(table, console)
    _say(console, f"{model.suspected} labels are suspect (confident learning); texts trained on say little of theirs")


def _show_confusion(labels: list[str], confusion: tuple[tuple[int, ...], ...], console: Console) -> None:
    """The whole matrix where it fits a terminal, with classes by number in the head; else its commonest confusions."""
    names = [*labels, "no label"]
    if len(labels) > MATRIX_CLASSES:
        errors = ((row[said], true, said) for true, row in enumerate(confusion) for said in range(len(row)))
        worst = sorted((one for one in errors if one[0] and one[1] != one[2]), reverse=True)[:SHOWN_ROWS]
        table = _table("true", "predicted", "texts", words=("predicted",))
        for count, true, said in worst:
            table.add_row(quoted(labels[true]), quoted(names[said]), str(count))
        print_whole(table, console)
        return
    shown = len(names) if any(row[-1] for row in confusion) else len(labels)
    heads = [*map(str, range(len(labels))), "none"][:shown]
    table = _table("true \\ predicted", *heads)
    table.box, table.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    for number, row in enumerate(confusion):
        table.add_row(quoted(f"{number} {labels[number]}"), *map(str, row[:shown]))
    print_whole(table, console)


def _show_rows(title: str, examples: tuple[Example, ...], console: Console) -> None:
    table = _table("row", title, "label", "predicted", "loss", words=(title, "label", "predicted"))
    for example in examples[:SHOWN_ROWS]:
        row = example.figures
        table.add_row(
            str(row.row), _cut(example.text), quoted(row.label), quoted(row.predicted or "–"), f"{row.loss:.3f}"
        )
    print_whole(table, console)


def _table(*columns: str, words: tuple[str, ...] = ()) -> Table:
    """A table; its first column and those named in `words` are ranged left, figures right and never broken."""
    table = Table()
    for name in columns:
        left = name in (columns[0], *words)
        table.add_column(quoted(name), justify="left" if left else "right", no_wrap=name not in words)
    return table


def _say(console: Console, line: str) -> None:
    if line:
        plain_lines(console)(line)


def _times(ratio: float) -> str:
    """A ratio; of a teacher, thousands of times slower, what is left of it.

    >>> _times(1.25), _times(0.00031)
    ('× 1.25', '× 0.00031')
    """
    return f"× {ratio:.2f}" if ratio >= 0.1 else f"× {ratio:.2g}"


def _points(difference: float, interval: Interval) -> str:
    return f"{100 * difference:+.2f} ({100 * interval.low:+.2f} to {100 * interval.high:+.2f})"


def _between(interval: Interval) -> str:
    return f"(95 % of resamples: {interval.low:.4f} to {interval.high:.4f})"


def _cut(text: str) -> Text:
    return quoted(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…")
