from __future__ import annotations

import pytest

from tests.chaos.inputs import PARTITIONS
from tests.chaos.schedule import Kind
from tests.chaos.windows import LATE_SECONDS, Repeat, Window, attributed, inputs_covered

STRUCK, WHOLE, END = 100.0, 110.0, 130.0
COMMITTED = {0: 10, 1: 10, 2: 10, 3: 10}
LAST_COMMITTED, FIRST_UNCOMMITTED = 9 * PARTITIONS, 10 * PARTITIONS  # inputs of partition 0


def window(*partitions: int, kind: Kind = Kind.KILL, struck: float = STRUCK) -> Window:
    return Window(kind, 0, struck, COMMITTED, frozenset(partitions), whole_seconds=WHOLE, end_seconds=END)


def test_what_was_not_committed_when_a_fault_struck_may_come_again_until_its_window_ends() -> None:
    one = window(0, 1)
    found = attributed([Repeat(FIRST_UNCOMMITTED, 99, 105), Repeat(FIRST_UNCOMMITTED + 1, 109, END)], [one])
    assert found.unexplained == []
    assert one.repeats == 2
    assert found.by_kind == {Kind.KILL: 2}


@pytest.mark.parametrize(
    "repeat",
    [
        Repeat(LAST_COMMITTED, 99, 105),
        Repeat(FIRST_UNCOMMITTED + 2, 99, 105),
        Repeat(FIRST_UNCOMMITTED, WHOLE + LATE_SECONDS + 1, END - 1),
        Repeat(FIRST_UNCOMMITTED, 99, END + 1),
        Repeat(FIRST_UNCOMMITTED, 98, STRUCK - 1),
    ],
    ids=["committed", "partition of another", "first after all was whole", "after the window", "before it"],
)
def test_no_fault_explains_a_repeat(repeat: Repeat) -> None:
    assert attributed([repeat], [window(0, 1)]).unexplained == [repeat]


def test_a_repeat_is_the_latest_fault_s_that_can_have_caused_it() -> None:
    kill, cut = window(0), window(0, kind=Kind.CUT, struck=103)
    found = attributed([Repeat(FIRST_UNCOMMITTED, 99, 105), Repeat(FIRST_UNCOMMITTED, 99, 102)], [cut, kill])
    assert found.by_kind == {Kind.CUT: 1, Kind.KILL: 1}


def test_inputs_that_several_windows_cover_count_once() -> None:
    first_seconds = [90.0 + number for number in range(60)]  # input 40, the first not committed, comes at 130
    assert inputs_covered([window(0)], first_seconds) == 0
    early = [number / 10 for number in range(60)]
    assert inputs_covered([window(0)], early) == 5
    assert inputs_covered([window(0), window(0, 1)], early) == 10
