"""The golden cases on further outputs: before `build` writes one, and again when `verify` meets it in a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kuaixun.export.bundle.golden import GoldenCase, check_golden
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.errors import BundleError
from kuaixun.export.further.outputs import FURTHER_OUTPUTS, FurtherOutput, cannot_run_here, open_output
from kuaixun.export.makers_code import NOT_RUN
from kuaixun.export.text.pipeline import TextPipeline


def check_further_outputs(bundle: Bundle, *, run_code: bool) -> tuple[dict[str, float], dict[str, str]]:
    """Largest logit difference of each output that was run, and of each other file why it was not.

    `run_code` says that its maker is trusted, so that even files that hold code may be loaded. Raises BundleError
    for a file that is no student, GoldenCaseError for one that gives other answers.
    """
    differences: dict[str, float] = {}
    not_checked: dict[str, str] = {}
    for output in FURTHER_OUTPUTS.values():
        if output.file not in bundle.manifest.files:
            continue
        if output.holds_code and not run_code:
            not_checked[output.file] = NOT_RUN
        elif reason := cannot_run_here(output):
            not_checked[output.file] = reason
        else:
            content = bundle.read_file(output.file)
            name, difference = check_output(output, content, bundle.golden, bundle.pipeline, bundle.path)
            differences[name] = difference
    return differences, not_checked


def check_output(
    output: FurtherOutput, content: bytes, golden: Sequence[GoldenCase], pipeline: TextPipeline, folder: Path
) -> tuple[str, float]:
    """Name and largest logit difference of the file's content, which is or is to be in the bundle `folder`.

    Raises BundleError where its runtime cannot load it, GoldenCaseError where it gives other answers.
    """
    try:
        scorer = open_output(output, content)
    except ValueError as error:
        raise BundleError(f"{folder / output.file} is unusable: {error}") from error
    return scorer.name, check_golden(golden, pipeline, scorer, folder)
