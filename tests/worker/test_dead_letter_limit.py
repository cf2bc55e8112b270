"""Too many dead letters stop the worker with a reason of its own, and what is one by then is written and committed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker import cli
from kuaixun.worker.dead_letter_limit import DeadLetterLimit, Limits
from kuaixun.worker.errors import DeadLetterLimitError
from kuaixun.worker.labelling import dead_letter
from kuaixun.worker.outcomes import TOMBSTONE, Outcome
from kuaixun.worker.records import Record
from kuaixun.worker.stop import Stop
from tests.worker.running import RunningWorker
from tests.worker.test_contract import letters, many, record
from tests.worker.topics import Topics

NO_RATIO, NO_RUN = 1.0, 0


def outcomes(pattern: str) -> list[Outcome]:
    """`x` is a dead letter, any other letter is not."""
    return [
        dead_letter(Record("raw", 0, i, None, b"{"), DeadLetterReason.INVALID_JSON, "cut short", "1")
        if letter == "x"
        else TOMBSTONE
        for i, letter in enumerate(pattern)
    ]


def stopped_after(limits: Limits, batches: Sequence[str]) -> int | None:
    """How many batches it takes, None where all of them may pass."""
    stop = Stop(5.0)
    limit = DeadLetterLimit(limits, stop)
    for number, pattern in enumerate(batches, 1):
        limit([], outcomes(pattern))
        assert stop.requested is (limit.error is not None)
        if stop.requested:
            return number
    return None


def test_coming_near_a_limit_is_said_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    limit = DeadLetterLimit(Limits(0.5, 10, 10), Stop(5.0))
    for pattern, near in [
        ("x" * 8, False),  # too few for a ratio, and no more than 0.8 of the run
        ("x", True),
        (".", True),  # of ten, nine: the run is over, and the window full
        ("." * 8, False),
        ("x" * 9, True),
    ]:
        limit([], outcomes(pattern))
        assert limit.is_near is near
        assert limit.is_run_near is (near and pattern.endswith("x"))
    assert ["come near" in message for message in caplog.messages] == [True, False, True]


def test_dead_letters_that_are_felt_are_said_once_until_they_are_well_over(caplog: pytest.LogCaptureFixture) -> None:
    limit = DeadLetterLimit(Limits(0.5, 1000, 900), Stop(5.0))
    for pattern, told in [
        ("x" * 9 + "." * 900, 0),  # too few for a share
        ("x" * 5 + "." * 86, 1),  # 1.4 %
        ("x" * 5 + "." * 1000, 1),  # 0.5 %
        ("x" * 6 + "." * 300, 1),  # 1.1 %: it was not well over
        ("." * 1000, 1),
        ("x" * 30 + "." * 970, 2),
    ]:
        limit([], outcomes(pattern))
        assert len(caplog.messages) == told, pattern[:40]
    assert caplog.messages[0].startswith("1.4 % of the last 1000 records became dead letters")


@pytest.mark.parametrize(
    ("batches", "after"),
    [
        (["xx.", "xx.", ".xx"], None),
        (["xxx"], 1),
        (["..x", "xx"], 2),
        (["x", "x", "", "x"], 4),
        (["x", ".", "xx", ".xx", "."], None),
        (["xx", ".x", "x", "x"], 4),
        (["xxxx.", "."], 1),
    ],
)
def test_a_run_counts_across_batches_and_ends_with_anything_else(batches: list[str], after: int | None) -> None:
    assert stopped_after(Limits(NO_RATIO, 1, 3), batches) == after
    assert stopped_after(Limits(NO_RATIO, 1, NO_RUN), batches) is None


@pytest.mark.parametrize(
    ("batches", "after"),
    [
        (["xxx", "xx"], None),  # not so many yet that a share says something
        (["xxx...", "xxx..."], None),
        (["xxxx..", "...xxx"], 2),
        (["xxx.", "....", "....", "xxx."], None),
        (["....", "....", "x.x.", "xxxx"], 4),
        (["xxxxxxxxx...................."], None),
    ],
)
def test_the_share_is_of_the_last_records(batches: list[str], after: int | None) -> None:
    assert stopped_after(Limits(0.5, 8, NO_RUN), batches) == after


@given(
    st.lists(st.text("x.", max_size=6), max_size=12), st.sampled_from([0.5, 1.0]), st.integers(1, 9), st.integers(1, 5)
)
def test_both_limits_say_what_counting_anew_says(batches: list[str], ratio: float, window: int, in_a_row: int) -> None:
    def exceeded(seen: list[str]) -> bool:
        fewest = next((n for n in range(1, len(seen) + 1) if len("".join(seen[-n:])) >= window), None)
        last = "" if fewest is None else "".join(seen[-fewest:])
        return "x" in seen[-1] and ("x" * in_a_row in "".join(seen) or last.count("x") > ratio * len(last))

    expected = next((n for n in range(1, len(batches) + 1) if exceeded(batches[:n])), None)
    assert stopped_after(Limits(ratio, window, in_a_row), batches) == expected


def test_a_window_of_millions_is_kept_in_a_few_thousand_counts() -> None:
    limit = DeadLetterLimit(Limits(0.5, 100_000, NO_RUN), Stop(5.0))
    healthy, sick = outcomes("."), outcomes("x")
    for _ in range(150_000):
        limit([], healthy)
    assert len(limit._window) < 3000
    for _ in range(50_000):
        limit([], sick)
    assert limit.error is None
    for _ in range(200):  # as exact as a thousandth of the window
        limit([], sick)
    assert limit.error is not None


def test_the_reason_names_the_limit_the_place_and_what_was_wrong() -> None:
    limit = DeadLetterLimit(Limits(NO_RATIO, 1, 2), Stop(5.0))
    limit([], outcomes("..xx."))
    said = str(limit.error)
    assert "2 records in a row" in said
    assert "KUAIXUN_DEAD_LETTERS_IN_A_ROW" in said
    assert "raw[0]@3, is invalid_json: cut short" in said


@pytest.mark.parametrize(("pattern", "run"), [("..xxx.", 3), ("xx.xx.xx", 0)])
def test_the_run_is_told_that_the_reason_speaks_of(pattern: str, run: int) -> None:
    limit = DeadLetterLimit(Limits(0.5, 4, 3), Stop(5.0))
    limit([], outcomes(pattern))
    limit([], outcomes("." * 4))
    assert limit.error is not None
    assert limit.run_reached == run
    assert ("in a row" in str(limit.error)) is (run > 0)


def test_a_worker_past_its_limit_has_committed_every_dead_letter_and_nothing_else(topics: Topics) -> None:
    poison = [record(i % 4, b"{") for i in range(400)]
    topics.write([*many(40), *poison])
    worker = RunningWorker(
        topics.settings(max_batch=20, max_in_flight=40, dead_letters_in_a_row=50, transaction_interval_ms=1)
    )
    worker.wait()
    assert isinstance(worker.error, DeadLetterLimitError)
    written = topics.read(topics.dead_letter, 50)
    labelled = topics.read(topics.output)
    assert 50 <= len(written) < 400
    assert sum(topics.committed()) == len(written) + len(labelled)
    assert len({(letter.partition, letter.offset) for letter in letters(topics, len(written))}) == len(written)


def test_a_share_over_the_limit_ends_the_command_with_its_own_code(
    embedded_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = Topics.create(embedded_bootstrap, real=False)
    topics.write([record(i % 4, b"{" if i % 8 < 4 else None) for i in range(400)])
    flags = ["--max-batch", "20", "--dead-letter-ratio", "0.3", "--dead-letter-window", "100", "--threads", "1"]
    assert cli.main(["run", *topics.flags(), *flags]) == DeadLetterLimitError.exit_code
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("kuaixun-worker: Too many dead letters: ")
    assert "KUAIXUN_DEAD_LETTER_RATIO" in said
