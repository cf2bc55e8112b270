"""A new bundle takes over between two batches, or leaves the old one at work, and each event says which labelled it."""

from __future__ import annotations

import gc
import logging
import os
import pty
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kuaixun.export import Classifier
from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from kuaixun.worker import opening, service
from kuaixun.worker.errors import BundleRefusedError
from kuaixun.worker.reload import WATCHER, Reloads, Succession, reload_on_hangup
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import Stop
from tests.worker.bundles import copied_bundle, damaged_bundle, renamed_bundle, turn
from tests.worker.fake_classifier import LABELS, FakeClassifier
from tests.worker.running import running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, event_of, many
from tests.worker.topics import PATIENCE_SECONDS, Topics


class Bundles:
    """A link and the models of the folders that it may name; a folder without a model is no bundle."""

    def __init__(self, folder: Path) -> None:
        self.link, self.models = folder / "current", dict[str, FakeClassifier]()
        self.reloads, self.opened = Reloads(), list[str]()
        self.add("a", LABELS)
        self.point("a")

    def add(self, name: str, labels: tuple[str, ...]) -> None:
        (self.link.parent / name).mkdir()
        self.models[name] = FakeClassifier(model_id=name)
        self.models[name].labels = labels

    def point(self, name: str) -> None:
        turn(self.link, self.link.parent / name)

    def open(self) -> FakeClassifier:
        name = self.link.resolve().name
        self.opened.append(name)
        if name not in self.models:
            raise BundleRefusedError(f"{name} is no bundle")
        return self.models[name]

    def succession(self, *, changed_labels_allowed: bool = False) -> Succession:
        return Succession(
            self.models["a"],
            self.link,
            self.link.resolve(),
            self.open,
            self.reloads,
            changed_labels_allowed=changed_labels_allowed,
        )


@pytest.fixture
def bundles(tmp_path: Path) -> Bundles:
    return Bundles(tmp_path)


def follow(succession: Succession, bundles: Bundles, name: str) -> str | None:
    """Turn the link, look, and ask who is next."""
    bundles.point(name)
    succession.look()
    successor = succession.successor()
    return successor.model_id if successor else None


def test_nothing_is_opened_while_the_link_names_the_same_folder(bundles: Bundles) -> None:
    succession = bundles.succession()
    succession.look()
    bundles.point("a")
    succession.look()
    assert (bundles.opened, succession.successor()) == ([], None)


def test_a_link_turned_brings_a_successor_once(bundles: Bundles) -> None:
    bundles.add("b", (*LABELS, "天气"))
    succession = bundles.succession()
    assert follow(succession, bundles, "b") == "b"
    succession.look()
    assert (succession.successor(), bundles.opened, bundles.reloads.taken_up) == (None, ["b"], 1)


def test_a_link_turned_while_the_first_bundle_was_opened_is_noticed(bundles: Bundles) -> None:
    bundles.add("b", LABELS)
    folder_opened = bundles.link.resolve()
    bundles.point("b")
    succession = Succession(bundles.models["a"], bundles.link, folder_opened, bundles.open, bundles.reloads)
    succession.look()
    assert succession.successor() is bundles.models["b"]


def test_a_bundle_that_may_not_serve_leaves_the_old_one_and_says_so_until_a_good_one_comes(
    bundles: Bundles, caplog: pytest.LogCaptureFixture
) -> None:
    succession = bundles.succession()
    assert follow(succession, bundles, "broken") is None
    succession.look()
    assert bundles.opened == ["broken"], "a refused bundle is not opened over and over"
    assert (bundles.reloads.refused, bundles.reloads.refusal) == (1, "broken is no bundle")
    (line,) = caplog.records
    assert (line.levelno, line.getMessage()) == (
        logging.ERROR,
        "bundle refused, model a serves on: broken is no bundle",
    )
    assert follow(succession, bundles, "a") is None
    assert (bundles.reloads.refused, bundles.reloads.refusal, bundles.reloads.taken_up) == (1, None, 0)


def test_a_refused_bundle_is_tried_again_by_itself_once_its_files_have_changed_and_keep_still(bundles: Bundles) -> None:
    succession = bundles.succession()
    assert follow(succession, bundles, "late") is None, "the link was turned before anything was copied"
    bundles.add("late", LABELS)
    for size in (1, 2):  # still being copied
        (bundles.link / "weights").write_bytes(bytes(size))
        succession.look()
    assert bundles.opened == ["late"]
    succession.look()
    assert bundles.opened == ["late", "late"]
    assert succession.successor() is bundles.models["late"]
    (bundles.link / "weights").write_bytes(bytes(3))
    for _ in range(3):
        succession.look()
    assert bundles.opened == ["late", "late"], "one that serves is left alone"


def test_a_fault_in_opening_is_a_refusal_with_its_traceback(
    bundles: Bundles, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault() -> FakeClassifier:
        raise MemoryError("too little")

    monkeypatch.setattr(bundles, "open", fault)
    assert follow(bundles.succession(), bundles, "b") is None
    assert bundles.reloads.refused == 1
    assert "MemoryError" in caplog.text


def test_what_the_link_named_last_takes_over_though_the_loop_was_busy_meanwhile(bundles: Bundles) -> None:
    succession = bundles.succession()
    for name in ("b", "c"):
        bundles.add(name, LABELS)
        bundles.point(name)
        succession.look()
    assert succession.successor() is bundles.models["c"]
    bundles.point("b")
    succession.look()
    assert follow(succession, bundles, "c") is None, "the one that serves was named again before the loop came round"


def test_a_reload_asked_for_opens_the_same_folder_again(bundles: Bundles) -> None:
    succession = bundles.succession()
    bundles.models["a"] = FakeClassifier(model_id="a2")
    bundles.reloads.request()
    succession.look()
    succession.look()
    assert succession.successor() is bundles.models["a"]
    assert bundles.opened == ["a"]


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ([(*LABELS, "天气")], False),
        ([LABELS[:-1]], False),
        ([(*LABELS, "天气"), LABELS], False),
        ([("天气", *LABELS)], True),
        ([(*LABELS[:-1], "天气")], True),
        ([LABELS[::-1]], True),
        ([LABELS[:-1], (*LABELS[:-1], "天气")], True),
        ([(*LABELS, "天气"), LABELS, (*LABELS, "历史")], True),
    ],
)
def test_labels_may_be_added_and_dropped_but_an_id_keeps_its_meaning_unless_that_is_allowed(
    bundles: Bundles, path: list[tuple[str, ...]], changed: bool
) -> None:
    for allowed in (False, True):
        succession = bundles.succession(changed_labels_allowed=allowed)
        bundles.reloads.refusal = None
        for number, labels in enumerate(path):
            name = f"{allowed}{number}"
            bundles.add(name, labels)
            followed = follow(succession, bundles, name)
        assert (followed is None) is (changed and not allowed)
        if changed and not allowed:
            assert "KUAIXUN_CHANGED_LABELS_ALLOWED" in str(bundles.reloads.refusal)


def is_opening() -> bool:
    return any(thread.name == WATCHER for thread in threading.enumerate())


def test_a_stop_while_a_bundle_is_opened_waits_for_that_no_longer_than_a_shutdown_may_take(bundles: Bundles) -> None:
    opening, may_end = threading.Event(), threading.Event()

    def long_opening() -> FakeClassifier:
        opening.set()
        assert may_end.wait(PATIENCE_SECONDS)
        return bundles.open()

    succession = Succession(bundles.models["a"], bundles.link, bundles.link, long_opening, bundles.reloads)
    bundles.reloads.request()
    stop = Stop(0.2)
    try:
        with succession.watching(stop):
            assert opening.wait(PATIENCE_SECONDS)
            stop.request()
        assert is_opening()
    finally:
        may_end.set()
    while is_opening():
        time.sleep(0.01)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def test_sighup_asks_for_a_reload_and_for_a_stop_once_the_terminal_is_gone(terminal: tuple[int, int]) -> None:
    far, near = terminal
    before = signal.getsignal(signal.SIGHUP)
    reloads, stop = Reloads(), Stop(5.0)
    with reload_on_hangup(reloads, stop, near):
        os.kill(os.getpid(), signal.SIGHUP)
        assert (reloads.requested, stop.requested) == (True, False)
        os.close(far)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested
    assert signal.getsignal(signal.SIGHUP) is before


def test_sighup_only_reloads_where_there_never_was_a_terminal() -> None:
    reloads, stop = Reloads(), Stop(5.0)
    reading, writing = os.pipe()
    with reload_on_hangup(reloads, stop, reading):
        os.kill(os.getpid(), signal.SIGHUP)
    os.close(reading)
    os.close(writing)
    assert (reloads.requested, stop.requested) == (True, False)


def test_bundles_follow_each_other_under_a_worker_at_work(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[weakref.ref[Classifier]] = []
    open_classifier = opening.open_settings_classifier

    def noted(settings: WorkerSettings) -> Classifier:
        found = open_classifier(settings)
        opened.append(weakref.ref(found))
        return found

    for module in (opening, service):
        monkeypatch.setattr(module, "open_settings_classifier", noted)
    labels = read_manifest(default_bundle_path()).labels
    first = copied_bundle(tmp_path / "a")
    second = renamed_bundle(tmp_path / "b", [f"{label}2" for label in labels])
    damaged_bundle(tmp_path / "broken")
    current = tmp_path / "current"
    turn(current, tmp_path / "a")
    reloads, sent = Reloads(), 0
    settings = topics.settings(bundle=current, changed_labels_allowed=True, threads=1, max_batch=20)

    def send_until(done: Callable[[], bool]) -> None:
        nonlocal sent
        deadline = time.monotonic() + PATIENCE_SECONDS
        for number in range(10_000):
            topics.write(many(20, sent))
            sent += 20
            if (done() and number) or time.monotonic() >= deadline:
                break
            time.sleep(0.05)
        assert done()

    with running_worker(settings, reloads=reloads):
        send_until(lambda: bool(opened))
        turn(current, tmp_path / "broken")
        send_until(lambda: reloads.refused == 1)
        assert "weights.safetensors" in str(reloads.refusal)
        (tmp_path / "broken").rename(tmp_path / "gone")
        reloads.request()
        send_until(lambda: reloads.refused == 2)
        turn(current, tmp_path / "b")
        send_until(lambda: reloads.taken_up == 1)
        send_until(lambda: True)
        labelled = topics.read(topics.output, sent)
        gc.collect()
        assert [classifier() is None for classifier in opened] == [True, False], "the old model must leave the memory"
    assert reloads.refusal is None
    assert_each_once(labelled, sent)
    assert_in_order(labelled)
    events = sorted(map(event_of, labelled), key=lambda event: int(event["id"][1:]))
    assert {event["model"] for event in events} == {first, second}
    assert all((event["model"] == second) is event["label"].endswith("2") for event in events)
