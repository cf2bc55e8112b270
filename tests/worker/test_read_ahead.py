"""What is read ahead is handed over once and in order, in the batches that were shown, unless it is ours no more."""

from __future__ import annotations

from confluent_kafka import KafkaError

from kuaixun.worker.kafka.read_ahead import ReadAhead
from kuaixun.worker.records import Partition, Record, Records

EVEN, ODD = Partition("raw", 0), Partition("raw", 1)


def records(*offsets: int) -> Records:
    return Records.of([Record("raw", offset % 2, offset, None, b"%d" % offset) for offset in offsets])


def read(*offsets: int) -> ReadAhead:
    ahead = ReadAhead()
    ahead.add(records(*offsets))
    return ahead


def all_of(ahead: ReadAhead) -> list[int]:
    found: list[int] = []
    while len(ahead):
        found += ahead.take(100).offsets
    return found


def test_what_was_shown_is_handed_over_as_it_was_shown_and_the_rest_after_it() -> None:
    ahead = read(0, 1, 2, 3, 4, 5, 6)
    first, second = ahead.show(3), ahead.show(3)
    assert (len(ahead), ahead.rest, ahead.is_shown) == (7, 1, True)
    ahead.add(records(7, 8))
    assert ahead.take(1) is first
    assert ahead.take(100) is second
    assert not ahead.is_shown
    assert (first.offsets, second.offsets) == ([0, 1, 2], [3, 4, 5])
    assert all_of(ahead) == [6, 7, 8]


def test_half_a_batch_is_shown_and_less_is_not() -> None:
    ahead = read(0, 1, 2)
    assert not ahead.show(7)
    assert ahead.rest == 3
    assert ahead.show(6).offsets == [0, 1, 2]
    assert not ahead.show(6)


def test_what_was_handed_over_is_not_touched_by_what_is_read_later() -> None:
    ahead = read(0, 1)
    taken = ahead.take(2)
    ahead.add(records(2))
    shown = ahead.show(1)
    ahead.add(records(3))
    assert (taken.offsets, shown.offsets, all_of(ahead)) == ([0, 1], [2], [2, 3])


def test_where_a_partition_goes_it_is_as_if_nothing_had_been_shown() -> None:
    ahead = read(0, 1, 2, 3, 4, 5)
    ahead.show(2)
    ahead.show(2)
    ahead.keep({EVEN})
    assert (len(ahead), ahead.rest, ahead.is_shown) == (3, 3, False)
    assert ahead.show(2).offsets == [0, 2]
    assert all_of(ahead) == [0, 2, 4]


def test_where_none_goes_what_was_shown_stays_so() -> None:
    ahead = read(0, 2, 4)
    shown = ahead.show(2)
    ahead.keep({EVEN})
    ahead.drop({ODD})
    ahead.forget(frozenset({ODD}))
    assert ahead.take(9) is shown


def test_a_rewind_drops_what_was_read_of_its_partitions_shown_or_not() -> None:
    ahead = read(0, 1, 2, 3)
    ahead.show(2)
    ahead.rewinds[ODD] = 1
    assert ahead.take_rewinds() == {ODD: 1}
    assert ahead.take_rewinds() == {}
    assert all_of(ahead) == [0, 2]


def test_a_partition_that_leaves_is_neither_rewound_nor_begun_anew() -> None:
    ahead = read(0, 1)
    ahead.rewinds[ODD], ahead.gone[ODD] = 1, KafkaError(KafkaError._AUTO_OFFSET_RESET)
    ahead.forget(frozenset({ODD}))
    assert ahead.take_rewinds() == {}
    assert [*ahead.take_gone()] == []
    assert all_of(ahead) == [0]


def test_another_position_is_chosen_once_all_before_it_is_handed_over() -> None:
    ahead = read(0, 1, 2)
    error = KafkaError(KafkaError._AUTO_OFFSET_RESET)
    ahead.gone[ODD] = ahead.gone[EVEN] = error
    ahead.show(2)
    assert [*ahead.take_gone()] == []
    ahead.take(2)
    assert [where for where, _ in ahead.take_gone()] == [ODD]
    ahead.take(1)
    assert [where for where, _ in ahead.take_gone()] == [EVEN]
    assert ahead.gone == {}
