from __future__ import annotations

import pytest

from tests.chaos.account import PROMISES, Account, Outcome, Sent, verdict
from tests.chaos.schedule import Kind, schedule

LABELLED = Outcome.LABELLED


@pytest.fixture
def account() -> Account:
    account = Account()
    for number in range(4):
        account.send(f"n-{number}", Sent(number, number % 2, LABELLED))
    return account


def receive(account: Account, *numbers: int) -> None:
    for number in numbers:
        account.receive(f"n-{number}", LABELLED, "labelled", 0)


def test_input_without_output_is_lost(account: Account) -> None:
    receive(account, 0, 1, 3)
    assert account.missing == ["n-2"]
    assert account.totals() == {
        "sent": 4,
        "consumed": 3,
        "labelled": 3,
        "dead_lettered": 0,
        "tombstones": 0,
        "lost": 1,
        "duplicated": 0,
        "disordered": 0,
        "wrong": 0,
    }


def test_repetitions_are_counted_and_are_no_disorder(account: Account) -> None:
    receive(account, 0, 1, 2, 0, 2, 3)
    assert (account.totals()["duplicated"], account.totals()["disordered"]) == (2, 0)


def test_first_output_behind_a_later_one_of_its_partition_is_disorder(account: Account) -> None:
    receive(account, 2, 1, 0, 3)
    assert account.totals()["disordered"] == 1


def test_partitions_have_no_order_between_them(account: Account) -> None:
    receive(account, 1, 3, 0, 2)
    assert account.totals()["disordered"] == 0


def test_output_of_the_wrong_kind_or_of_no_input_is_wrong(account: Account) -> None:
    account.receive("n-0", Outcome.DEAD_LETTERED, "dead", 0)
    account.receive("stranger", LABELLED, "labelled", 0)
    assert account.totals()["wrong"] == 2


@pytest.mark.parametrize("promise", PROMISES)
def test_a_broken_promise_fails_the_run(promise: str) -> None:
    kept = dict.fromkeys((*PROMISES, "duplicated", "crashes"), 0)
    assert promise in kept
    assert verdict(kept | {"duplicated": 9, "crashes": 1}) == 0
    assert verdict(kept | {promise: 1}) == 1


def test_schedule_is_a_function_of_its_seed_and_has_every_kind() -> None:
    faults = schedule(seed=7, faults=9, inputs=1000, workers=2)
    assert faults == schedule(seed=7, faults=9, inputs=1000, workers=2)
    assert faults != schedule(seed=8, faults=9, inputs=1000, workers=2)
    assert {fault.kind for fault in faults} == set(Kind)
    assert len(faults) == 9
    assert faults == sorted(faults, key=lambda fault: fault.after_inputs)
