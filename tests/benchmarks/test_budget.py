"""The budget measures the steps that a worker takes, on headlines that come out labelled."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.messages import OutgoingColumns
from kuaixun.worker.streams import Receipts
from tests.benchmarks.stream.budget import CLASSIFYING, READING_AND_WRITING, measure, run
from tests.benchmarks.worker.backlog import payloads


def test_every_step_of_a_turn_is_counted_and_all_of_a_batch_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes | None] = []
    send_all = KafkaSink.send_all

    def keep(sink: KafkaSink, messages: OutgoingColumns, receipts: Receipts) -> None:
        written.extend(messages.values)
        send_all(sink, messages, receipts)

    monkeypatch.setattr(KafkaSink, "send_all", keep)
    found = measure(payloads(), batch=512, rounds=3)
    assert [step for step in found if found[step] <= 0] == []
    assert list(found)[:2] == ["from the client to records", "shown ahead, and handed over"]
    assert {CLASSIFYING, READING_AND_WRITING, "reports of deliveries", "counted"} < set(found)
    assert len(written) == 3 * 512
    assert {"label", "scores", "origin"} <= set(msgspec.json.decode(written[-1] or b""))


def test_the_table_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--batch", "64", "--rounds", "2", "--json", str(tmp_path / "budget.json")]) == 0
    kept = msgspec.json.decode((tmp_path / "budget.json").read_bytes())
    assert (kept["batch"], kept["rounds"]) == (64, 2)
    told = capsys.readouterr().out
    assert f"{kept['nanoseconds']['counted']:.0f}" in told
    assert "lower quartile" in told
