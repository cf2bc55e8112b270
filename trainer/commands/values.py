"""Option values with a form of their own, read and refused."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from kuaixun.export.command_line import path_of
from kuaixun.trainer.data.text_lines import TextFile
from kuaixun.trainer.scores.requests import ScoreRequest
from kuaixun.trainer.scores.weighted_scores import WeightedScores


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """A converter to whole numbers within bounds, whose refusal names them."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if not lowest <= number <= (highest if highest is not None else number):
            bounds = f"at least {lowest}" + (f" and at most {highest}" if highest is not None else "")
            raise argparse.ArgumentTypeError(f"{number} is out of range; it must be {bounds}")
        return number

    return convert


def real_number(lowest: float, highest: float, hint: str, *, above: bool = False) -> Callable[[str], float]:
    """A converter to numbers from `lowest` on, or `above` it, to `highest`; a refusal ends with the hint."""

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not lowest <= number <= highest or (above and number == lowest):
            raise argparse.ArgumentTypeError(f"{text!r} is no {hint}")
        return number

    return convert


def number_list(lowest: int, highest: int) -> Callable[[str], tuple[int, ...]]:
    """A converter to different whole numbers within bounds, as in 2,3,4; they come sorted, as a bundle wants them."""
    number = whole_number(lowest, highest)

    def convert(text: str) -> tuple[int, ...]:
        found = tuple(sorted(number(part.strip()) for part in text.split(",")))
        if len(set(found)) != len(found):
            raise argparse.ArgumentTypeError(f"{text!r} names a number twice")
        return found

    return convert


def bits_or_none(text: str) -> int | None:
    """The size of the n-gram table as a power of two, or `none` for no such branch."""
    return None if text == "none" else whole_number(1, 24)(text)


def weighted_scores(text: str) -> WeightedScores:
    """A file of teacher scores, and its weight where one follows: FILE or FILE:WEIGHT.

    >>> weighted_scores("bert.safetensors:0.7")
    WeightedScores(path=PosixPath('bert.safetensors'), weight=0.7)
    """
    name, colon, number = text.rpartition(":")
    if not colon or not name:
        return WeightedScores(path_of(text))
    try:
        weight = float(number)
    except ValueError:
        return WeightedScores(path_of(text))  # a colon in the file's name
    if not 0 < weight < math.inf:
        raise argparse.ArgumentTypeError(f"the weight in {text!r} is {number}; it must be above 0")
    return WeightedScores(path_of(name), weight)


def score_request(text: str) -> ScoreRequest:
    """FILE=OUT, parted as `parted` says."""
    data, equals, out = parted(text)
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not FILE=OUT, a file to score and a new file for its scores")
    return ScoreRequest(path_of(data), path_of(out))


def parted(text: str) -> tuple[str, str, str]:
    """What stands before and after the equals sign that parts two paths, each of which may lie below one: the last one
    before an absolute path, else the last.

    >>> parted("/a=b/train.txt=/a=b/scores"), parted("a=b.txt=scores")
    (('/a=b/train.txt', '=', '/a=b/scores'), ('a=b.txt', '=', 'scores'))
    """
    place = max(text.rfind("=/"), 0) or text.rfind("=")
    return (text[:place], "=", text[place + 1 :]) if place > 0 else ("", "", text)


def share_of_file(text: str) -> TextFile:
    """A file, and after an equals sign the share of it that counts.

    >>> share_of_file("articles.txt.xz=0.2")
    TextFile(path=PosixPath('articles.txt.xz'), share=0.2)
    """
    name, equals, share_text = text.rpartition("=")
    if not equals:
        return TextFile(path_of(text))
    try:
        share = float(share_text)
    except ValueError:
        return TextFile(path_of(text))  # an equals sign of the file's own name
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"the share {share_text} is out of range; it must be above 0, at most 1")
    return TextFile(path_of(name), share)
