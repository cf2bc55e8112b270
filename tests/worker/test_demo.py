"""The demo: its headlines are what they say they are, and its account of them is true."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from rich.console import Console

from kuaixun.schemas.codec import UndecodableError, decode_raw_news
from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.demo import run_demo, show, worker_thread
from kuaixun.worker.demo.headlines import TOMBSTONE, Headline, HeadlinesError, own_headlines, read_headlines
from kuaixun.worker.demo.ledger import Arrival, Fate, Ledger
from kuaixun.worker.demo.plain import PlainScreen
from kuaixun.worker.demo.screen import Stage
from kuaixun.worker.demo.terminal import TerminalScreen
from kuaixun.worker.errors import WorkerError
from kuaixun.worker.stop import Stop
from tests.worker.mock_broker import MockBroker

CLASSES = {
    *("finance", "realty", "stocks", "education", "science"),
    *("society", "politics", "sports", "game", "entertainment"),
}
REASONS = {reason.value for reason in DeadLetterReason}
DIRT = {"html", "entity", "url", "email", "fullwidth", "emoji", "zero_width", "case", "space"}


@pytest.fixture
def hasty_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not make the demo's first worker wait for others."""
    monkeypatch.setattr(show, "EmbeddedBroker", MockBroker)


@pytest.fixture(scope="module")
def own() -> list[Headline]:
    return read_headlines(own_headlines())


def of_class(headlines: list[Headline]) -> list[Headline]:
    return [headline for headline in headlines if headline.expected in CLASSES]


def title_of(headline: Headline) -> str:
    assert headline.event is not None
    return str(headline.event["title"])


def test_own_headlines_cover_every_class_and_repeat_none(own: list[Headline]) -> None:
    classes = Counter(headline.expected for headline in of_class(own))
    assert len(of_class(own)) >= 360
    assert set(classes) == CLASSES
    assert min(classes.values()) >= 25
    titles = [title_of(headline) for headline in of_class(own)]
    assert len(set(titles)) == len(titles)
    assert len({headline.name for headline in of_class(own)}) == len(titles)


def test_own_headlines_hold_every_kind_of_dirt(own: list[Headline]) -> None:
    dirty = [headline for headline in of_class(own) if headline.dirty]
    assert len(dirty) >= 40
    assert {headline.dirty for headline in dirty} == DIRT
    signs = {
        "html": r"<\w[^>]*>",
        "entity": r"&\w+;",
        "url": r"https?://|www\.",
        "email": r"\w@\w",
        "fullwidth": r"[０-９Ａ-Ｚ]",
        "zero_width": r"\u200b",
        "emoji": r"[\u2600-\u27bf\U0001f000-\U0001faff]",
        "space": r"^\s|\s\s",
        "case": r"[A-Z]",
    }
    wrong = [(headline.dirty, title_of(headline)) for headline in dirty
             if not re.search(signs[str(headline.dirty)], title_of(headline))]  # fmt: skip
    assert wrong == []


def test_clean_headlines_have_a_headline_s_length(own: list[Headline]) -> None:
    clean = [title_of(headline) for headline in of_class(own) if not headline.dirty]
    assert [title for title in clean if not 10 <= len(title) <= 28] == []


def test_each_refused_payload_is_refused_for_the_reason_it_states(own: list[Headline]) -> None:
    refused = [headline for headline in own if headline.expected in REASONS]
    assert Counter(headline.expected for headline in refused).keys() == {
        *("invalid_utf8", "invalid_json", "invalid_event", "empty_title"),
    }
    assert len(refused) >= 15
    for headline in refused:
        assert headline.payload is not None
        try:
            decode_raw_news(headline.payload)
            reason = DeadLetterReason.EMPTY_TITLE  # it decodes, so only the worker's cleaning may refuse it
        except UndecodableError as error:
            reason = error.reason
        assert reason == headline.expected, headline.payload
    assert sum(headline.expected == TOMBSTONE for headline in own) >= 3


def test_every_round_of_a_headline_has_an_id_of_its_own(own: list[Headline]) -> None:
    headline = of_class(own)[0]
    (first_key, first), (second_key, second) = headline.record(3), headline.record(404)
    assert first is not None
    assert second is not None
    assert decode_raw_news(first).id == first_key != second_key == decode_raw_news(second).id
    assert decode_raw_news(first).title == decode_raw_news(second).title == title_of(headline)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"holds no headline"),
        ("第一条\n".encode() + "第二条".encode("gbk"), r", line 2: byte 0 is not UTF-8"),
        (b'{"id": "1", "title": "x"}\n\n{"id": "2", "title": ', r", line 3: not JSON"),
        (b'{"id": "1", "title": 7}', r", line 1: .*title"),
        (b'{"label": "sports"}', r', line 1: .*none of "event"'),
        (b'{"dead_letter": "no_such_reason", "text": ""}', r", line 1: .*no_such_reason"),
        (b'{"label": "sports", "event": {"id": "1"}}', r", line 1: .*title"),
        (b"x" * 1_000_000, r", line 1: 1,000,000 bytes are too long"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    with pytest.raises(HeadlinesError, match=re.escape(str(path)) + ".*" + says):
        read_headlines(path)


def test_own_events_are_read_as_a_producer_sends_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "a", "title": "标题", "label": "theirs"}\n{"id": "b", "title": "另一条"}\n', "utf-8")
    first, second = read_headlines(path)
    assert (title_of(first), first.expected, title_of(second)) == ("标题", None, "另一条")


def test_the_ledger_tells_lost_from_duplicated() -> None:
    ledger = Ledger()
    keys = [ledger.send(Headline("a", {"title": "t"}, None, "sports"))[0] for _ in range(4)]
    ledger.receive(Arrival(keys[0], Fate.LABELLED, "sports", ""))
    ledger.receive(Arrival(keys[1], Fate.DEAD_LETTERED, "empty_title", ""))
    ledger.receive(Arrival(keys[1], Fate.LABELLED, "sports", ""))
    ledger.receive(Arrival("a@17", Fate.LABELLED, "sports", ""))
    assert (ledger.sent, ledger.arrived, ledger.outstanding, ledger.duplicated, ledger.unknown) == (4, 2, 2, 1, 1)
    assert ledger.outcomes == {Fate.LABELLED: 1, Fate.DEAD_LETTERED: 1}
    assert (ledger.agreed[Fate.LABELLED], ledger.judged.total(), ledger.agreed.total()) == (1, 2, 1)


def _requested(budget_seconds: float) -> Stop:
    stop = Stop(budget_seconds)
    stop.request()
    return stop


def demo(*arguments: str, **environment: str) -> tuple[int, list[str], str]:
    """Run the command as a user without a terminal does: its exit code, standard output's lines, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "kuaixun.worker.cli", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def account(lines: list[str]) -> dict[str, Any]:
    """The last line, which is for machines."""
    parsed: dict[str, Any] = json.loads(lines[-1])
    return parsed


def test_the_demo_accounts_for_every_headline_and_ends_by_itself() -> None:
    code, lines, errors = demo()
    assert code == 0, errors
    counts = account(lines)
    assert counts["labelled"] >= 1000
    assert counts["dead_lettered"] >= 15
    assert counts["tombstones"] >= 3
    assert counts["consumed"] == counts["labelled"] + counts["dead_lettered"] + counts["tombstones"] == 1200
    assert (counts["lost"], counts["duplicated"]) == (0, 0)
    assert counts["model"]
    assert counts["engine"]
    assert any("invalid_utf8" in line for line in lines), "a refused headline is shown with its reason"


@pytest.mark.usefixtures("hasty_broker")
def test_a_worker_that_leaves_without_labelling_is_a_loss(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker_thread, "run_worker", lambda *_settings, **_classifier: None)
    assert run_demo(count=3) == 1
    counts = account(capsys.readouterr().out.splitlines())
    assert (counts["consumed"], counts["lost"]) == (0, 1)


@pytest.mark.usefixtures("hasty_broker")
def test_the_account_is_given_whatever_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "END_SECONDS", 0.0)
    with pytest.raises(WorkerError, match="to the end"):
        run_demo(count=3)
    counts = account(capsys.readouterr().out.splitlines())
    assert counts["consumed"] == 3


@pytest.mark.usefixtures("hasty_broker")
def test_the_demo_counts_what_is_consumed_apart_from_what_comes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entered = Ledger.receive

    def receive(ledger: Ledger, arrival: Arrival) -> bool:
        if not arrival.key.endswith("@2"):
            return entered(ledger, arrival)
        monkeypatch.setattr(show, "PATIENCE_SECONDS", 0.0)
        return False

    monkeypatch.setattr(Ledger, "receive", receive)
    assert run_demo(count=3) == 1
    counts = account(capsys.readouterr().out.splitlines())
    assert (counts["consumed"], counts["labelled"], counts["lost"]) == (3, 2, 1)


def test_the_demo_shows_a_user_s_own_headlines(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("沪指收盘上涨百分之一 两市成交放量\n\n主队补时绝杀晋级决赛\n", "utf-8")
    code, lines, errors = demo("--headlines", str(mine), "--count", "40")
    assert code == 0, errors
    counts = account(lines)
    assert (counts["consumed"], counts["labelled"], counts["lost"]) == (40, 40, 0)
    assert sum(line.startswith("labelled ") for line in lines) == 40, "each is shown, for nobody asked for a sample"
    assert counts["headlines_per_second"] is None, "too few to measure"


@pytest.mark.parametrize(
    ("planned", "by_user", "shown"), [(500, False, 500), (501, False, 51), (2500, False, 200), (2500, True, 2500)]
)
def test_what_is_shown_is_all_of_a_user_s_headlines_and_a_sample_that_is_called_one(
    planned: int, by_user: bool, shown: int
) -> None:
    stream = io.StringIO()
    screen = PlainScreen(Stage(planned, (), "", "", "", by_user), stream)
    for _ in range(planned):
        screen.show(Arrival("k", Fate.LABELLED, "sports", "t", 1.0))
    _, *lines = stream.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("labelled ")]) == shown
    assert ("showing 1 of" in stream.getvalue()) == (shown < planned)


@pytest.mark.parametrize(("width", "height"), [(100, 30), (55, 30), (40, 10)])
def test_a_small_terminal_shows_the_headline_first(width: int, height: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height)
    screen = TerminalScreen(Stage(1, ("sports", "game"), "m", "e", "b", page="http://127.0.0.1:65535/"), console)
    ledger = Ledger()
    arrival = Arrival(ledger.send(Headline("a", {"title": "t"}, None, "sports"))[0], Fate.LABELLED, "sports", "绝杀", 1)
    ledger.receive(arrival)
    screen.show(arrival)
    with console.capture() as captured:
        screen.refresh(ledger, 1.0)
    screen.close()
    said = captured.get()
    assert "绝杀" in said
    assert re.search("1 of 1.* 1 a second", said)
    assert "page http://127.0.0.1:65535/" in said
    assert [word in said for word in ("time", "confidence", "game")] == [width >= 60, width >= 50, height == 30]


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (110, "1,234 of 5,678 headlines, shown at 617 a second, slowed to be read; 97% as their writers say"),
        (80, "1,234 of 5,678 headlines, shown at 617 a second; 97% as their writers say"),
        (60, "1,234 of 5,678, 617 a second; 97% as their writers say"),
        (50, "1,234 of 5,678 headlines, shown at 617 a second"),
        (40, "1,234 of 5,678, 617 a second"),
    ],
)
def test_a_narrow_terminal_is_told_less_and_nothing_is_cut(width: int, said: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=24, color_system=None)
    screen = TerminalScreen(Stage(5_678, ("sports",), "m", "e", "b"), console)
    ledger = Ledger()
    ledger.outcomes[Fate.LABELLED], ledger.judged[Fate.LABELLED], ledger.agreed[Fate.LABELLED] = 1_234, 100, 97
    with console.capture() as captured:
        screen.refresh(ledger, 2.0)
    screen.close()
    assert said in [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_shows_the_whole_address_of_the_page_on_a_line_of_its_own(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=24, color_system=None)
    stage = Stage(1, ("sports", "game"), "0123456789abcdef" * 4, "native", "b", page="http://127.0.0.1:65535/")
    screen = TerminalScreen(stage, console)
    with console.capture() as captured:
        screen.note("…")
    screen.close()
    assert "page http://127.0.0.1:65535/" in [line.rstrip() for line in captured.get().splitlines()]


def test_the_demo_survives_an_output_that_has_no_chinese() -> None:
    code, lines, errors = demo("--count", "20", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert code == 0, errors
    assert any("\\u" in line for line in lines)


@pytest.mark.usefixtures("hasty_broker")
def test_ctrl_c_before_the_first_headline_is_back_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    with mock.patch.object(show, "Stop") as stop:
        stop.side_effect = lambda budget_seconds: _requested(budget_seconds)
        run_demo(count=3)
    assert "stopping" in capsys.readouterr().out


def test_an_unreadable_file_is_one_clear_error(tmp_path: Path) -> None:
    code, lines, errors = demo("--headlines", str(tmp_path / "absent.txt"))
    assert code not in (0, 1)
    assert lines == []
    assert "absent.txt" in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1
