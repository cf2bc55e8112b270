"""`python -m tests.benchmarks.stream`: refused in a line and at once, or with all that was measured told."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.alone import alone
from tests.benchmarks.brokers import embedded_kafka
from tests.benchmarks.failures import BenchmarkError, finish_measuring
from tests.benchmarks.peers.environments import PEERS, PeerUnavailableError
from tests.benchmarks.peers.settings import SETTINGS
from tests.benchmarks.stream import __main__ as command
from tests.benchmarks.stream import report, start
from tests.benchmarks.stream.aims import Verdict, times_peers, verdicts
from tests.benchmarks.stream.contenders import CONTENDERS, Contender
from tests.benchmarks.stream.drain import Backlog, Drained
from tests.benchmarks.stream.latency import Run, summed_up
from tests.benchmarks.stream.latency import summed_up as latencies_of
from tests.benchmarks.stream.options import read_options
from tests.benchmarks.stream.progress import DrainError
from tests.benchmarks.stream.report import Report, throughput_table
from tests.benchmarks.stream.rounds import Throughput
from tests.benchmarks.stream.start import Start
from tests.worker.topics import Topics

NARROW = 80
CHARACTERS = range(0x4E00, 0x9FA6)  # so many that what is drawn of them does not compress
TOPICS = Topics("", "raw", "labelled", "dead", "group", 6000)


def test_what_is_not_said_follows_from_the_form() -> None:
    whole, short = read_options([]), read_options(["--short", "--processes", "2", "1", "--load", "0.5"])
    assert (whole.messages, whole.rounds, whole.processes, whole.loads) == (1_000_000, 5, [1, 2], [0.1, 0.5, 0.8])
    assert whole.delivery == list(Guarantee)
    assert whole.only == list(CONTENDERS)
    assert (short.messages, short.rounds, short.processes, short.loads) == (400_000, 3, [1, 2], [0.5])
    assert (whole.broker_warm_seconds, short.broker_warm_seconds) == (60, 0)
    assert read_options(["--short", "--broker-warm-seconds", "5"]).broker_warm_seconds == 5
    assert short.delivery == [Guarantee.AT_LEAST_ONCE]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--rounds", "0"], "--rounds: 0 is out of range; it must be at least 1"),
        (["--messages", "-5"], "--messages: -5 is out of range; it must be at least 1000"),
        (["--processes", "8"], "--processes: 8 is out of range; it must be at least 1 and at most 4"),
        (["--load", "2"], "--load: '2' is no share above 0 and no greater than 1"),
        (["--delivery", "never"], "'never' is none of at-least-once, exactly-once"),
        (["--only", "natve"], "--only: 'natve' is none of passthrough, passthrough-by-batch, null, native"),
        (["--seconds", "nan"], "--seconds: 'nan' is no number of seconds"),
        (["--embedded", "--load", "0.5"], "--load: not with --embedded: latency is measured on a real Kafka"),
        (
            ["--embedded", "--processes", "1", "2"],
            "--processes: not with --embedded: it does not tell when all members",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        read_options(given)
    told = capsys.readouterr().err
    assert left.value.code == 2
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "holds no headlines"),
        (b"\xff\xfe", "cannot be read: 'utf-8' codec"),
        (b"short\n" + b"x" * 200_000 + b"\n", "line 2: 200,000 characters; 100,000 at most"),
    ],
)
def test_texts_that_cannot_be_sent_are_refused_by_name(tmp_path: Path, content: bytes | None, said: str) -> None:
    texts = tmp_path / "texts"
    if content is not None:
        texts.write_bytes(content)
    with pytest.raises(BenchmarkError) as refused:
        read_options(["--texts", str(texts)])
    assert str(refused.value).startswith(f"--texts {texts}")
    assert said in str(refused.value)


def test_a_file_of_figures_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"--json .*: cannot be written: Is a directory"):
        read_options(["--json", str(tmp_path)])


@pytest.mark.parametrize("content", ["", "[]", '{"ratios": {}}', '{"rows_per_second": {"a": "b"}, "ratios": {}}', None])
def test_parts_that_cannot_be_read_are_refused_before_anything_is_measured(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "parts.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BenchmarkError, match=r"--parts .*parts.json: cannot be read: "):
        read_options(["--parts", str(path)])
    path.write_text('{"rows_per_second": {"a": 2.5}, "ratios": {"a / b": 3}, "benchmarks": []}')
    assert read_options(["--parts", str(path)]).parts == {"rows_per_second": {"a": 2.5}, "ratios": {"a / b": 3.0}}


def test_every_peer_tells_its_settings() -> None:
    assert set(SETTINGS) == set(PEERS)


def test_two_measurements_at_once_are_refused(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from tests.benchmarks.alone import alone\n"
    code += "with alone(Path(sys.argv[1])): print('alone', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "alone\n"
        with pytest.raises(BenchmarkError, match=rf"process {other.pid} measures"), alone(tmp_path):
            pass
        other.kill()
    with alone(tmp_path):
        pass


@pytest.fixture
def drains(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What each drain comes to, in turn: passthrough's and native's at last; without a broker."""
    found: list[object] = []

    @contextmanager
    def nothing(*_: Any) -> Iterator[Any]:
        yield Backlog(TOPICS, 1000, None)

    def drained(*_: Any) -> Drained:
        one = found.pop(0)
        if isinstance(one, BaseException):
            raise one
        assert isinstance(one, float)
        return Drained(one, 1e6 / one, 100.0, 1.0)

    def started(contender: Contender, _: Backlog) -> Start:
        return Start(contender.name, 0.5, 60.0)

    monkeypatch.setattr(command, "real_kafka", nothing)
    monkeypatch.setattr(command, "alone", nothing)
    monkeypatch.setattr(Backlog, "written", nothing)
    for module in ("rounds", "drain"):
        monkeypatch.setattr(f"tests.benchmarks.stream.{module}.drain", drained)
    monkeypatch.setattr("tests.benchmarks.stream.start.start", started)
    return found


SHORT = ("--short", "--only", "native", "--rounds", "2", "--json")


def run(path: Path, *more: str) -> int:
    return finish_measuring("stream", lambda: command.run([*SHORT, str(path), *more]))


@pytest.mark.parametrize(
    ("at_last", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "left out: all that follows: interrupted"),
        (DrainError("passthrough stood still"), 1, "left out: all that follows: passthrough stood still"),
        (TimeoutError(), 1, "left out: all that follows: the broker does not answer: it took too long"),
    ],
)
def test_what_was_measured_before_a_failure_is_told_and_kept(
    drains: list[object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    at_last: BaseException,
    code: int,
    said: str,
) -> None:
    # The first warms the broker; then round 1, and round 2 backwards.
    drains.extend([1.0, 400_000.0, 300_000.0, 200_000.0, at_last])
    assert run(tmp_path / "bench.json") == code
    told = capsys.readouterr()
    assert said in told.out
    assert "0.750" in told.out
    assert "Traceback" not in told.err
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert [row["contender"] for row in kept["throughput"]] == ["passthrough", "native"]
    assert kept["left_out"] == [said.removeprefix("left out: ")]


def test_one_that_comes_to_nothing_in_any_round_is_a_failure(drains: list[object], tmp_path: Path) -> None:
    drains.extend([1.0, 400_000.0, DrainError("no memory"), DrainError("no memory"), 400_000.0])
    assert run(tmp_path / "bench.json") == 1


def test_one_that_ends_is_left_out_and_the_others_go_on(
    drains: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drains.extend([1.0, 400_000.0, DrainError("the contender ended: no memory"), 300_000.0, 400_000.0])
    assert run(tmp_path / "bench.json") == 0
    told = capsys.readouterr()
    assert "left out: round 1, at-least-once: the contender ended: no memory" in told.out
    assert "round 2 of 2, 2 of 2: passthrough" in told.err
    assert "native, times passthrough's start: 1, at most 2: kept" in told.out


def test_starts_are_in_turn_and_one_that_does_not_come_to_an_event_is_left_out_of_its_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds: dict[str, list[float | None]] = {"passthrough": [0.4, 0.9, 0.5, 0.8], "native": [0.7, None, 0.9, 0.8]}

    def started(contender: Contender, _: Backlog) -> Start:
        if (one := seconds[contender.name].pop(0)) is None:
            raise DrainError("nothing comes out")
        return Start(contender.name, one, 100 * one)

    monkeypatch.setattr("tests.benchmarks.stream.start.start", started)
    backlog = Backlog(TOPICS, 1000, None)
    found = list(start.measure(["passthrough", "native"], backlog, rounds=4))
    assert [name for _, name, _ in found] == ["passthrough", "native", "native", "passthrough"] * 2
    assert [(number, str(one)) for number, _, one in found if isinstance(one, DrainError)] == [(1, "nothing comes out")]
    # Of an even number of starts the middle of the two in the middle.
    assert start.summed_up([one for _, _, one in found if isinstance(one, Start)]) == [
        Start("passthrough", 0.65, 65.0),
        Start("native", 0.8, 80.0),
    ]


def test_a_peer_that_cannot_be_had_is_left_out_before_anything_is_measured(
    drains: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(name: str) -> Path:
        raise PeerUnavailableError(f"the peer {name} cannot be installed: no network")

    monkeypatch.setattr(command, "python_of", unavailable)
    drains.extend([1.0, 400_000.0, 300_000.0, 300_000.0, 400_000.0])
    assert run(tmp_path / "bench.json", "--only", "native", "plain-native", "plain-traced") == 0
    assert "left out: plain: the peer plain cannot be installed: no network" in capsys.readouterr().out


def test_what_needs_a_gpu_is_left_out_where_torch_can_use_none(
    drains: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "gpu_name", lambda: "")
    drains.extend([1.0, 400_000.0, 300_000.0, 300_000.0, 400_000.0])
    assert run(tmp_path / "bench.json", "--only", "native", "torchscript-cuda") == 0
    assert "left out: torchscript-cuda: there is no GPU here that torch can use" in capsys.readouterr().out
    assert "gpu" not in json.loads((tmp_path / "bench.json").read_text())["environment"]


def test_where_there_is_a_gpu_it_is_named_and_its_worker_measured(
    drains: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (command, report):
        monkeypatch.setattr(module, "gpu_name", lambda: "a fast one")
    drains.extend([1.0, 400_000.0, 300_000.0, 200_000.0, 200_000.0, 300_000.0, 400_000.0])
    assert run(tmp_path / "bench.json", "--only", "native", "torchscript-cuda") == 0
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert kept["environment"]["gpu"] == "a fast one"
    assert kept["aims"][0].startswith("native, at-least-once × 1, of passthrough's throughput: ")
    assert [row["contender"] for row in kept["throughput"]] == ["passthrough", "native", "torchscript-cuda"]
    flags = CONTENDERS["torchscript-cuda"].command(TOPICS)
    assert flags[flags.index("--engine") :][:4] == ["--engine", "torchscript", "--device", "cuda"]


def test_without_java_the_client_s_own_broker_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    flags = ("--embedded", "--only", "null", "--messages", "200000", "--rounds", "1", "--json", str(path))
    assert finish_measuring("stream", lambda: command.run(flags)) == 0, capsys.readouterr().err
    kept = json.loads(path.read_text())
    assert kept["environment"]["kafka"] == "librdkafka's own broker, in the process that measures"
    assert [row["contender"] for row in kept["throughput"]] == ["passthrough", "null"]
    assert [one["contender"] for one in kept["starts"]] == ["passthrough", "null"]
    assert kept["embedded"]
    assert not kept["aims"], "they are of a real Kafka"
    assert not kept["left_out"]


def test_a_backlog_that_the_broker_does_not_keep_is_not_measured(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    drawn = random.Random(1)
    texts.write_text("".join("".join(map(chr, drawn.choices(CHARACTERS, k=3_000))) + "\n" for _ in range(100)))
    with (
        embedded_kafka() as bootstrap,
        pytest.raises(DrainError, match=r"the broker keeps only .* of 4,000 headlines: let fewer wait"),
        Backlog.written(bootstrap, 4_000, texts),
    ):
        pass


def throughput(name: str, rate: float, share: float, delivery: Guarantee = Guarantee.AT_LEAST_ONCE) -> Throughput:
    return Throughput(name, delivery, 1, rate, share, [share / 2, share], "passthrough", [share], [1.0], 12.34, 1234.5)


def test_the_aims_are_held_against_the_best_peer() -> None:
    rows = [
        throughput("passthrough", 482_000, 1.0),
        throughput("native", 301_000, 0.63),
        throughput("bytewax_flow-traced", 1_338, 0.0028),
        throughput("faust_agent-traced", 755, 0.0016),
        throughput("plain-native", 133_200, 0.276),
        throughput("native", 1.0, 0.9, Guarantee.EXACTLY_ONCE),
    ]
    found = verdicts(rows, [Start("passthrough", 0.64, 60.0), Start("native", 0.74, 70.0)])
    assert [one.told for one in found] == [
        "native, at-least-once × 1, of passthrough's throughput: 0.63, at least 0.65: missed",
        "native, exactly-once × 1, of passthrough's throughput: 0.9, at least 0.65: kept",
        "native, times bytewax_flow-traced's throughput: 225, at least 100: kept",
        "native, times plain-native's throughput: 2.26, at least 2.5: missed",
        "native, times passthrough's start: 1.16, at most 2: kept",
    ]
    assert set(times_peers(rows)) == {"bytewax_flow-traced", "faust_agent-traced", "plain-native"}
    assert not times_peers(rows[:1])
    assert Verdict("start", 2.0, 2.0, is_most=True).is_kept


def latency(name: str, share: float, p99_ms: float, p999_ms: float) -> list[Run]:
    return [Run(name, share, 1000.0, 5.0, p99_ms, p999_ms, 1.0, 0.1)]


def test_late_headlines_are_held_against_passthrough_at_half_load_and_against_each_other_at_any() -> None:
    runs = [
        *latency("passthrough", 0.5, 20.0, 200.0),
        *latency("native", 0.5, 29.0, 60.0),
        *latency("native", 0.8, 40.0, 201.0),
    ]
    assert [one.told for one in verdicts([], [], summed_up(runs, max_delay_ms=5.0))] == [
        "native, p99 in ms at 50% of what it keeps up with: 29, at most 30: kept",
        "native, p99.9 in ms at 50% of what it keeps up with: 60, at most 145: kept",
        "native, p99.9 in ms at 80% of what it keeps up with: 201, at most 200: missed",
    ]


def test_no_figure_is_cut_where_the_terminal_is_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [throughput(name, 1_338_000, 0.00281 if "traced" in name else 1.0) for name in CONTENDERS]
    starts = [Start(name, 12.34, 1234.0) for name in CONTENDERS]
    console = Console(width=NARROW, record=True)
    console.print(throughput_table(rows, starts))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= NARROW
    assert not any("…" in line.replace("0.001…0.003", "").replace("0.50…1.00", "") for line in lines)
    for name in CONTENDERS:
        (line,) = (line for line in lines if line.startswith(f"{name} "))
        assert "1,338,000" in line
        assert line.endswith("1234")


def test_the_parts_are_told_by_their_whole_names(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["classify[native-256]", "classify[convolutional-256]"]
    parts = {"rows_per_second": dict.fromkeys(names, 1e6), "ratios": {f"{names[0]} / {names[1]}": 284.7}}
    Report({}, parts=parts).show()
    told = capsys.readouterr().out
    assert all(name in told for name in names)
    assert "284.7 ×" in told


def test_a_table_that_is_wider_than_the_terminal_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "TABLE_COLUMNS", NARROW)
    runs = [Run(name, 0.5, 1000, 1.0, 1234.5, 2345.6, 1.0, 0.5) for name in ("passthrough", "native")]
    Report({}, latencies=latencies_of(runs, max_delay_ms=5.0)).show()
    told = capsys.readouterr().out
    assert "2345.6 (2345.6…2345.6)" in told
    assert "1487.4 kept" in told
