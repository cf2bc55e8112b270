from __future__ import annotations

import pytest

from kuaixun.worker.delivery.promise import Guarantee
from tests.chaos.account import LABELLED, Account, Output
from tests.chaos.inputs import TOMBSTONE
from tests.chaos.schedule import Kind, schedule
from tests.chaos.verdict import PROMISES, PROOFS, broken, unproven

COUNT = 16
SPECIAL = {5: "invalid_json", 6: TOMBSTONE}
EXACTLY, AT_LEAST = Guarantee.EXACTLY_ONCE, Guarantee.AT_LEAST_ONCE


@pytest.fixture
def account() -> Account:
    """Sixteen inputs: 5 is poison, 6 a tombstone, the others are news to model `a` and sports to model `b`."""
    account = Account(COUNT, SPECIAL.get, lambda model, _number: {"a": "news", "b": "sports"}.get(model))
    account.sent = COUNT
    return account


def receive(
    account: Account, *numbers: int, at: float = 0.0, outcome: str = LABELLED, model: str = "a", label: str = "news"
) -> None:
    for number in numbers:
        account.receive(Output(number, outcome, "labelled", 0, model, label), at)


def figure(account: Account, name: str) -> int:
    return account.totals()[name]


def test_every_input_with_its_outcome_breaks_no_promise(account: Account) -> None:
    for number in range(COUNT):
        receive(account, number, outcome=SPECIAL.get(number, LABELLED))
    totals = account.totals()
    assert totals == {
        "sent": 16,
        "consumed": 16,
        "labelled": 14,
        "dead_lettered": 1,
        "tombstones": 1,
        **dict.fromkeys(
            ("lost", "duplicated", "disordered", "wrong", "mislabelled"),
            0,
        ),
    }
    assert account.done_to == COUNT


def test_input_without_output_is_lost(account: Account) -> None:
    receive(account, 0, 1, 3, 4)
    assert figure(account, "lost") == 12
    assert account.lost(3) == [2, 5, 6]
    assert account.done_to == 2


def test_repetitions_are_counted_and_are_no_disorder(account: Account) -> None:
    receive(account, 0, 1, 2, 3, 4, 0, 4, 8)
    assert (figure(account, "duplicated"), figure(account, "disordered")) == (2, 0)


def test_first_output_behind_a_later_one_of_its_partition_is_disorder(account: Account) -> None:
    receive(account, 8, 4, 0, 12)
    assert figure(account, "disordered") == 2


def test_partitions_have_no_order_between_them(account: Account) -> None:
    receive(account, 1, 3, 0, 2)
    assert figure(account, "disordered") == 0


def test_output_of_the_wrong_kind_or_of_no_input_is_wrong(account: Account) -> None:
    receive(account, 0, outcome="invalid_json")
    receive(account, 5)
    receive(account, 5, outcome="empty_title")
    receive(account, -1, COUNT)
    assert figure(account, "wrong") == 5


def test_label_is_held_against_the_model_that_the_event_names(account: Account) -> None:
    receive(account, 0, model="b", label="sports")
    receive(account, 1, model="b", label="news")
    receive(account, 2, model="c", label="news")
    assert figure(account, "mislabelled") == 2
    assert account.models == {"b": 2, "c": 1}


def test_every_partition_is_labelled_by_a_model_once_its_latest_event_is_that_model_s(account: Account) -> None:
    receive(account, 0, 1, 2, model="b", label="sports")
    receive(account, 3)
    assert not account.all_labelled_by("b")
    receive(account, 7, model="b", label="sports")
    assert account.all_labelled_by("b")
    receive(account, 8)
    assert not account.all_labelled_by("b")


KEPT = dict.fromkeys((name for names in (*PROMISES.values(), *PROOFS.values()) for name in names), 0)


@pytest.mark.parametrize(("guarantee", "promise"), [(g, p) for g, promises in PROMISES.items() for p in promises])
def test_a_broken_promise_fails_the_run(guarantee: Guarantee, promise: str) -> None:
    assert not broken({guarantee: KEPT | {"given_up": 1}})
    assert broken({guarantee: KEPT | {promise: 1}})


@pytest.mark.parametrize(("guarantee", "proof"), [(g, p) for g, proofs in PROOFS.items() for p in proofs])
def test_a_run_that_proves_too_little_fails(guarantee: Guarantee, proof: str) -> None:
    assert not unproven({guarantee: KEPT})
    assert unproven({guarantee: KEPT | {proof: 1}})


def test_a_duplicate_is_the_price_of_at_least_once_alone() -> None:
    assert not broken({AT_LEAST: KEPT | {"duplicated": 9}, EXACTLY: KEPT})
    assert broken({AT_LEAST: KEPT, EXACTLY: KEPT | {"duplicated": 1}})


def test_schedule_is_a_function_of_its_seed_and_has_every_kind() -> None:
    faults = schedule(seed=7, faults=26, inputs=1000, workers=2)
    assert faults == schedule(seed=7, faults=26, inputs=1000, workers=2)
    assert faults != schedule(seed=8, faults=26, inputs=1000, workers=2)
    assert {fault.kind for fault in faults} == set(Kind)
    assert len(faults) == 26
    assert faults == sorted(faults, key=lambda fault: fault.after_inputs)


def test_faults_come_one_after_another_and_leave_inputs_after_the_last() -> None:
    moments = [fault.after_inputs for fault in schedule(seed=3, faults=10, inputs=1000, workers=2)]
    assert all(100 * place < moment < 100 * place + 95 for place, moment in enumerate(moments))


def test_a_schedule_may_be_of_some_kinds_alone() -> None:
    faults = schedule(seed=3, faults=5, inputs=1000, workers=2, kinds=[Kind.SWAP, Kind.KILL])
    assert {fault.kind for fault in faults} == {Kind.SWAP, Kind.KILL}


def test_whoever_is_added_leaves_before_another_comes() -> None:
    for seed in range(20):
        faults = schedule(seed, faults=50, inputs=1000, workers=2)
        turns = [fault.kind for fault in faults if fault.kind in (Kind.ADD, Kind.REMOVE)]
        assert turns == [Kind.ADD, Kind.REMOVE] * (len(turns) // 2) + [Kind.ADD] * (len(turns) % 2)
