"""The guard tells a fall from the scatter of a busy machine, and what was not measured from what is well."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.benchmarks.failures import BenchmarkError, finish_measuring
from tests.benchmarks.measurements import ROOT
from tests.benchmarks.stream import guard, start
from tests.benchmarks.stream.aims import MOST_TIMES_START
from tests.benchmarks.stream.contenders import CONTENDERS
from tests.benchmarks.stream.guard import Expected, Figures, Ratios, Row, Start, held, read_ratios, run
from tests.benchmarks.stream.report import Report
from tests.benchmarks.stream.rounds import Throughput

RATIOS = Ratios(
    throughput_tolerance=0.2,
    processor_time_tolerance=0.1,
    start_tolerance=0.25,
    at_least_once={"native": Expected(throughput=0.5, processor_time=2.0)},
    beside={"native-watched": Expected(throughput=1.0, processor_time=1.0)},
    starts={"native": 1.6},
)
ROUNDS = 3


def figures(
    share: float = 0.5,
    microseconds: float = 4.0,
    delivery: str = "at-least-once",
    watched: tuple[float, ...] = (1.0, 1.2, 0.9),
    watched_shares: tuple[float, ...] = (1.0, 0.9, 0.5),
    start: float = 0.8,
) -> Figures:
    ones = [1.0] * ROUNDS
    shares, costs = [share] * ROUNDS, [microseconds / 2.0] * ROUNDS
    return Figures(
        ROUNDS,
        [
            Row("passthrough", delivery, 1, 1.0, ones, 2.0, "passthrough", ones, ones),
            Row("native", delivery, 1, share, shares, microseconds, "passthrough", shares, costs),
            Row(
                *("native-watched", delivery, 1, share, shares, microseconds),
                *("native", list(watched_shares), list(watched)),
            ),
        ],
        [Start("passthrough", 0.5), Start("native", start)],
        [],
    )


def without(found: Figures, *names: str) -> Figures:
    """The same, of which these contenders were not measured."""
    return replace(found, throughput=[row for row in found.throughput if row.contender not in names])


def fallen(found: Figures) -> list[str]:
    return [one.told for one in held(found, RATIOS) if one.has_fallen]


def test_a_ratio_within_the_tolerance_passes() -> None:
    assert fallen(figures(0.41, 4.3, start=0.99)) == []
    assert len(held(figures(0.41, 4.3), RATIOS)) == 5


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (figures(0.39), "FALLEN: throughput native / passthrough 0.390, at least 0.400"),
        (figures(0.5, 4.5), "FALLEN: processor time native / passthrough 2.250, at most 2.200"),
        (
            figures(watched=(1.0, 1.2, 1.3)),
            "FALLEN: processor time native-watched / native 1.200, at most 1.100",
        ),
        (
            figures(watched_shares=(0.5, 0.7, 1.0)),
            "FALLEN: throughput native-watched / native 0.700, at least 0.800",
        ),
        (figures(start=1.1), "FALLEN: start native / passthrough 2.200, at most 2.000"),
    ],
)
def test_a_ratio_beyond_the_tolerance_is_named_with_its_limit(found: Figures, said: str) -> None:
    assert fallen(found) == [said]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (figures(0.9, 2.0, "exactly-once"), "native was not measured beside passthrough"),
        (without(figures(), "native-watched"), "native-watched was not measured beside"),
        (without(figures(), "native", "native-watched"), "native was not measured beside passthrough"),
        (replace(figures(), throughput=[]), "native was not measured beside passthrough"),
        (replace(figures(), rounds=4), "native beside passthrough was measured in 3 of 4 rounds"),
        (figures(watched=(1.0,)), "native-watched beside native was measured in 1 of 3 rounds"),
        (figures(watched_shares=()), "native-watched beside native was measured in 0 of 3 rounds"),
        (replace(figures(), starts=[]), "the start of native was not measured beside passthrough's"),
        (replace(figures(), left_out=["round 2: the contender ended"]), "not all was measured: round 2: the contender"),
    ],
)
def test_what_was_not_measured_is_no_success(found: Figures, said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        held(found, RATIOS)


def test_what_is_committed_is_what_is_measured() -> None:
    ratios = read_ratios()
    recipe = re.search(r"stream --short --only (.+?) --json build/bench-guard.json", (ROOT / "Makefile").read_text())
    assert recipe is not None
    measured = set(recipe[1].split())
    assert {*ratios.at_least_once, *ratios.beside} == measured <= set(CONTENDERS)
    assert set(ratios.starts) <= measured
    for name, most in ratios.starts.items():
        assert most <= MOST_TIMES_START, name


def expected_figures(fall: float = 1.0) -> bytes:
    """What a run writes that has what is expected, or that a change has made slower and dearer by such a factor."""
    ratios = read_ratios()
    ones = [1.0] * ROUNDS
    found = [Throughput("passthrough", "at-least-once", 1, 1e5, 1.0, ones, "passthrough", ones, ones, 1.0, 100.0)]
    for name, of in ratios.at_least_once.items():
        share, cost = of.throughput * fall, of.processor_time / fall
        found.append(
            Throughput(
                *(name, "at-least-once", 1, 1e5, share, [share] * ROUNDS),
                *("passthrough", [share] * ROUNDS, [cost] * ROUNDS, cost, 100.0),
            )
        )
    for name, of in ratios.beside.items():
        share, cost = of.throughput * fall, of.processor_time / fall
        found.append(
            Throughput(
                *(name, "at-least-once", 1, 1e5, share, [share] * ROUNDS),
                *("native", [share] * ROUNDS, [cost] * ROUNDS, cost, 100.0),
            )
        )
    starts = [start.Start("passthrough", 0.5, 60.0)]
    starts += [start.Start(name, 0.5 * times / fall, 60.0) for name, times in ratios.starts.items()]
    run_of = Report({}, throughput=found, starts=starts, rounds=ROUNDS)
    return msgspec.json.encode(asdict(run_of))


@pytest.mark.parametrize(("fall", "code"), [(1.0, 0), (0.9, 0), (0.66, 1)])
def test_a_fall_of_a_third_is_noticed_in_every_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fall: float, code: int
) -> None:
    path = tmp_path / "figures.json"
    path.write_bytes(expected_figures(fall))
    assert run([str(path)]) == code
    told = capsys.readouterr().err.splitlines()
    ratios = read_ratios()
    assert len(told) == 2 * len({*ratios.at_least_once, *ratios.beside}) + len(ratios.starts)
    assert {line.partition(":")[0] for line in told} == {"FALLEN" if code else "held"}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "No such file"),
        ("{", "truncated"),
        ('{"rounds": 3, "throughput": [{}]}', "missing required field `contender`"),
    ],
)
def test_a_file_that_holds_no_figures_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str | None, said: str
) -> None:
    figures = tmp_path / "figures.json"
    if written is not None:
        figures.write_text(written, encoding="utf-8")
    assert finish_measuring("guard", lambda: run([str(figures)])) == 1
    told = capsys.readouterr().err
    assert f"guard: {figures}: " in told or f"'{figures}'" in told
    assert said in told


def test_ratios_of_another_form_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ratios.toml"
    path.write_text(guard.RATIOS.read_text("utf-8").replace("throughput_tolerance", "tolerance"), encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"ratios\.toml: "):
        read_ratios(path)


@pytest.mark.parametrize("table", ["at_least_once", "beside", "starts"])
def test_a_table_that_holds_nothing_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "ratios.toml"
    committed = guard.RATIOS.read_text("utf-8")
    kept = [part for part in re.split(r"(?m)^(?=\[)", committed) if not part.startswith(f"[{table}")]
    path.write_text("".join(kept) + f"\n[{table}]\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"ratios\.toml: .*length"):
        read_ratios(path)
