"""Option values with a form of their own."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.values import bits_or_none, number_list, score_request, weighted_scores, whole_number
from kuaixun.trainer.scores.requests import ScoreRequest
from kuaixun.trainer.scores.weighted_scores import WeightedScores


def test_a_recorded_command_can_be_pasted_and_names_no_folder() -> None:
    arguments = ["distil", "--train", "/home/me/a b.txt", "--output=/tmp/run/", "--seed", "1"]
    options = argparse.Namespace(train=Path("/home/me/a b.txt"), output=Path("/tmp/run/"), seed=1)  # noqa: S108

    assert recorded_command(arguments, options) == "kuaixun-trainer distil --train 'a b.txt' --output=run --seed 1"


def test_a_recorded_command_keeps_the_weights_of_teachers_and_leaves_away_where_their_files_lie() -> None:
    arguments = ["distil", "--teacher-scores", "/s/a.safetensors:0.5", "--teacher-scores=/s/b.safetensors"]
    options = argparse.Namespace(
        teacher_scores=[WeightedScores(Path("/s/a.safetensors"), 0.5), WeightedScores(Path("/s/b.safetensors"))]
    )

    shown = "kuaixun-trainer distil --teacher-scores a.safetensors:0.5 --teacher-scores=b.safetensors"
    assert recorded_command(arguments, options) == shown


@pytest.mark.parametrize(
    ("data", "out"),
    [
        ("train.txt", "scores"),
        ("a=b.txt", "scores"),
        ("a=b/train.txt", "/c/scores"),
        ("/a=b/train.txt", "/a=b/c=d/scores"),
        ("/a/train.txt", "scores"),
    ],
)
def test_a_file_to_score_and_its_scores_may_lie_below_an_equals_sign(data: str, out: str) -> None:
    assert score_request(f"{data}={out}") == ScoreRequest(Path(data), Path(out))
    shown = recorded_command([f"--score={data}={out}"], argparse.Namespace(), files=["--score"])
    assert shown == f"kuaixun-trainer --score={Path(data).name}=scores"


@pytest.mark.parametrize("text", ["train.txt", "=scores", "/a/train.txt"])
def test_a_file_to_score_without_a_place_for_its_scores_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not FILE=OUT"):
        score_request(text)


def test_a_file_of_scores_may_be_followed_by_its_weight() -> None:
    assert weighted_scores("a/b.safetensors") == WeightedScores(Path("a/b.safetensors"), 1.0)
    assert weighted_scores("a/b.safetensors:0.25") == WeightedScores(Path("a/b.safetensors"), 0.25)
    assert weighted_scores("a:b.safetensors") == WeightedScores(Path("a:b.safetensors"), 1.0)


@pytest.mark.parametrize("text", ["a:0", "a:-1", "a:nan", "a:inf", ""])
def test_a_weight_that_is_no_weight_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        weighted_scores(text)


@pytest.mark.parametrize(
    ("text", "reason"), [("2,2", "twice"), ("2,x", "'x' is no whole number"), ("0", "at least 1 and at most 16")]
)
def test_a_list_of_numbers_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        number_list(1, 16)(text)


def test_lists_bounds_and_none_are_read() -> None:
    assert number_list(1, 16)("2, 3,4") == number_list(1, 16)("4,2,3") == (2, 3, 4)
    assert bits_or_none("none") is None
    assert bits_or_none("17") == 17
    assert whole_number(1)("12") == 12
