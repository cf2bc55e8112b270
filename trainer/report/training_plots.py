"""A training, drawn as it went: the losses, and the accuracy on dev."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.report.drawing import INK, MUTED, SERIES, drawn

SIZE_INCHES = (4.6, 4.2)


def learning_curves(name: str, history: Sequence[DevFigures]) -> Markup:
    """Losses above, dev accuracy below, over the steps; a line stands where the weights were kept."""
    steps = [one.step for one in history]
    kept = next((one for one in reversed(history) if one.lowest), None)

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True)
        training = [one.training_loss for one in history]
        above.plot(
            steps,
            training,
            color=SERIES[1],
            linestyle=(0, (5, 2)),
            marker="." if len(steps) == 1 else "",
            label="training",
        )
        above.plot(steps, [one.dev_loss for one in history], color=SERIES[0], marker="o", markersize=3, label="dev")
        above.set_title("loss")
        below.plot(steps, [one.dev_accuracy for one in history], color=SERIES[0], marker="o", markersize=3)
        below.set_title("accuracy on dev")
        below.yaxis.set_major_formatter(PercentFormatter(1.0))
        below.set_xlabel("step")
        below.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        above.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, borderaxespad=0)
        for axes in (above, below):
            axes.grid(axis="y")
            axes.tick_params(length=0)
            if kept is not None:
                axes.axvline(kept.step, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        if kept is not None:
            below.plot([kept.step], [kept.dev_accuracy], "o", color=INK, markersize=5)
        figure.subplots_adjust(left=0.13, right=0.97, top=0.94, bottom=0.11, hspace=0.22)

    says = f"Loss and dev accuracy over {steps[-1]} steps"
    if kept is not None:
        says += f"; kept at step {kept.step} with a dev accuracy of {kept.dev_accuracy:.2%}"
    return drawn(name, says, SIZE_INCHES, draw)
