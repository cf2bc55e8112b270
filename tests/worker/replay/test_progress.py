"""What replays remember: every letter is dealt with once, whatever was asked for in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.errors import SettingError
from kuaixun.worker.records import Partition
from kuaixun.worker.replay.progress import NOTE_LIMIT_BYTES, OffsetRanges, Progress
from kuaixun.worker.streams import Mark

PARTITION = Partition("news.dead_letter", 3)
EVERY = list(DeadLetterReason)
FIRST = 5


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12))))
def test_ranges_hold_what_was_added_and_nothing_else(added: list[tuple[int, int]]) -> None:
    ranges = OffsetRanges((start, start + length) for start, length in added)
    expected = {offset for start, length in added for offset in range(start, start + length)}
    assert {offset for offset in range(60) if offset in ranges} == expected
    assert all(end < start for (_, end), (start, _) in zip(ranges.above(0), ranges.above(0)[1:], strict=False))
    assert {offset for start, end in ranges.above(20) for offset in range(start, end)} == {
        offset for offset in expected if offset >= 20
    }
    assert ranges.first_missing(10) == next(offset for offset in range(10, 100) if offset not in expected)


runs = st.lists(
    st.tuples(
        st.sets(st.sampled_from(EVERY), min_size=1),  # reasons
        st.sets(st.integers(FIRST, 40)),  # left for a later time
        st.integers(FIRST, 40),  # where the run is killed
        st.integers(1, 7),  # letters to a commit
    ),
    max_size=6,
)


@given(st.lists(st.sampled_from(EVERY), max_size=30), runs)
def test_every_letter_is_dealt_with_once_however_often_and_for_whatever_replays_are_run(
    reasons: list[DeadLetterReason], asked_for: list[tuple[set[DeadLetterReason], set[int], int, int]]
) -> None:
    letters = dict(enumerate(reasons, FIRST))
    bounds = range(FIRST, FIRST + len(letters))
    done: set[int] = set()
    mark: Mark | None = None
    final: tuple[set[DeadLetterReason], set[int], int, int] = (set(EVERY), set(), bounds.stop, 4)
    for asked, left, killed_at, commit_every in [*asked_for, final]:
        progress = Progress(PARTITION, bounds, mark, asked)
        now: set[int] = set()
        for offset, reason in letters.items():
            if offset >= killed_at:
                break
            assert progress.is_done(reason, offset) == (offset in done | now)
            if reason not in asked or progress.is_done(reason, offset):
                continue
            if offset in left:
                progress.leave(reason, offset)
            else:
                now.add(offset)
            if offset % commit_every == 0:
                mark = progress.mark(offset + 1)
                done |= now
        if killed_at >= bounds.stop:
            mark = progress.mark(bounds.stop)
            done |= now
    assert done == set(letters)
    assert mark == Mark(bounds.stop, "")


def test_the_offset_says_below_what_nothing_is_left_and_the_note_what_is_done_above() -> None:
    progress = Progress(PARTITION, range(FIRST, 30), None, [DeadLetterReason.EMPTY_TITLE])
    progress.leave(DeadLetterReason.EMPTY_TITLE, 12)
    assert progress.mark(20) == Mark(FIRST, "empty_title=0-7,8-15")
    rest = [reason for reason in EVERY if reason is not DeadLetterReason.EMPTY_TITLE]
    assert Progress(PARTITION, range(FIRST, 30), Mark(FIRST, "empty_title=0-7,8-15"), rest).mark(25).offset == 12


def test_a_topic_made_anew_is_begun_anew() -> None:
    assert not Progress(PARTITION, range(3), Mark(40, ""), EVERY).is_done(DeadLetterReason.EMPTY_TITLE, 1)


@pytest.mark.parametrize("note", ["mine", "bored=0-1", "empty_title=", "empty_title=1", "empty_title=a-b"])
def test_an_offset_of_another_consumer_is_no_progress(note: str) -> None:
    with pytest.raises(SettingError, match=r"news\.dead_letter\[3\].*KUAIXUN_GROUP_ID"):
        Progress(PARTITION, range(50), Mark(4, note), EVERY)


def test_more_gaps_than_can_be_noted_are_refused_before_the_broker_does() -> None:
    progress = Progress(PARTITION, range(10**6), None, EVERY)
    for offset in range(0, 10**4, 2):
        progress.leave(DeadLetterReason.EMPTY_TITLE, offset)
    with pytest.raises(SettingError, match=f"{NOTE_LIMIT_BYTES} bytes"):
        progress.mark(10**4)
