"""The guard tells a fall from the scatter of a busy machine, and what was not measured from what is well."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks.failures import BenchmarkError, finish_measuring
from tests.benchmarks.stream import guard
from tests.benchmarks.stream.contenders import CONTENDERS
from tests.benchmarks.stream.guard import Expected, Ratios, Row, held, read_ratios, run
from tests.benchmarks.stream.rounds import Throughput

RATIOS = Ratios(
    throughput_tolerance=0.2,
    processor_time_tolerance=0.1,
    at_least_once={"native": Expected(throughput=0.5, processor_time=2.0)},
    beside={"native-watched": Expected(throughput=1.0, processor_time=1.0)},
)


def rows(
    share: float,
    microseconds: float,
    delivery: str = "at-least-once",
    watched: tuple[float, ...] = (1.0, 1.2, 0.9),
    watched_shares: tuple[float, ...] = (1.0, 0.9, 0.5),
) -> list[Row]:
    return [
        Row("passthrough", delivery, 1, 1.0, 2.0, "passthrough", [1.0], [1.0]),
        Row("native", delivery, 1, share, microseconds, "passthrough", [share], [microseconds / 2.0]),
        Row("native-watched", delivery, 1, share, microseconds, "native", list(watched_shares), list(watched)),
    ]


def fallen(found: list[Row]) -> list[str]:
    return [one.told for one in held(found, RATIOS) if one.has_fallen]


def test_a_ratio_within_the_tolerance_passes() -> None:
    assert fallen(rows(0.41, 4.3)) == []
    assert len(held(rows(0.41, 4.3), RATIOS)) == 4


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (rows(0.39, 4.0), "FALLEN: throughput native / passthrough 0.390, at least 0.400"),
        (rows(0.5, 4.5), "FALLEN: processor time native / passthrough 2.250, at most 2.200"),
        (
            rows(0.5, 4.0, watched=(1.0, 1.2, 1.3)),
            "FALLEN: processor time native-watched / native 1.200, at most 1.100",
        ),
        (
            rows(0.5, 4.0, watched_shares=(0.5, 0.7, 1.0)),
            "FALLEN: throughput native-watched / native 0.700, at least 0.800",
        ),
    ],
)
def test_a_ratio_beyond_the_tolerance_is_named_with_its_limit(found: list[Row], said: str) -> None:
    assert fallen(found) == [said]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (rows(0.9, 2.0, "exactly-once"), "native was not measured beside passthrough"),
        (rows(0.9, 2.0)[:2], "native-watched was not measured beside"),
    ],
)
def test_what_was_not_measured_is_no_success(found: list[Row], said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        held(found, RATIOS)


def test_the_committed_ratios_are_of_contenders_that_there_are() -> None:
    ratios = read_ratios()
    assert {*ratios.at_least_once, *ratios.beside} < set(CONTENDERS)


def test_the_exit_code_says_whether_a_ratio_fell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    expected = read_ratios()
    for throughput, code in ((1.0, 0), (0.1, 1)):
        found = [
            Throughput(name, "at-least-once", 1, 1e5, throughput, [throughput], beside, [1.0], [1.0], 1.0, 100.0)
            for name, beside in (("passthrough", "passthrough"), ("null", "passthrough"), ("native", "passthrough"))
        ]
        found.append(
            Throughput("native-watched", "at-least-once", 1, 1e5, 1.0, [1.0], "native", [1.0], [1.0], 1.0, 9.0)
        )
        figures.write_bytes(msgspec.json.encode({"throughput": [asdict(one) for one in found]}))
        assert run([str(figures)]) == code
        least = expected.at_least_once["native"].throughput * (1 - expected.throughput_tolerance)
        verdict = "FALLEN" if code else "held"
        said = f"{verdict}: throughput native / passthrough {throughput:.3f}, at least {least:.3f}"
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "said"),
    [(None, "No such file"), ("{", "truncated"), ('{"throughput": [{}]}', "missing required field `contender`")],
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
