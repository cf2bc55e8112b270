"""The guard tells a fall from the scatter of a busy machine, and what was not measured from what is well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.stream.contenders import CONTENDERS
from tests.benchmarks.stream.guard import Expected, Ratios, Row, main, read_ratios, worse

RATIOS = Ratios(0.2, 0.1, {"native": Expected(throughput=0.5, processor_time=2.0)}, {"native-watched": 1.0})


def rows(
    share: float, microseconds: float, delivery: str = "at-least-once", watched: tuple[float, ...] = (1.0, 1.2, 0.9)
) -> list[Row]:
    return [
        Row("passthrough", delivery, 1, 1.0, 2.0, "passthrough", [1.0]),
        Row("native", delivery, 1, share, microseconds, "passthrough", [microseconds / 2.0]),
        Row("native-watched", delivery, 1, share, microseconds, "native", list(watched)),
    ]


def test_a_ratio_within_the_tolerance_passes() -> None:
    assert worse(rows(0.41, 4.3), RATIOS) == []


@pytest.mark.parametrize(
    ("share", "microseconds", "said"), [(0.39, 4.0, "of passthrough's throughput"), (0.5, 4.5, "processor time")]
)
def test_a_ratio_beyond_the_tolerance_is_named(share: float, microseconds: float, said: str) -> None:
    (line,) = worse(rows(share, microseconds), RATIOS)
    assert line.startswith("native: ")
    assert said in line


def test_what_was_not_measured_is_no_success() -> None:
    assert worse(rows(0.9, 2.0, "exactly-once"), RATIOS) == [
        "native was not measured beside passthrough",
        "native-watched was not measured beside what it is compared with",
    ]


def test_what_being_watched_costs_is_held_by_the_median_of_the_pairs() -> None:
    (line,) = worse(rows(0.5, 4.0, watched=(1.0, 1.2, 1.3)), RATIOS)
    assert line == "native-watched: 1.20 × native's processor time, at most 1.10 is expected"


def test_the_committed_ratios_are_of_contenders_that_there_are() -> None:
    ratios = read_ratios()
    assert {*ratios.at_least_once, *ratios.beside} < set(CONTENDERS)


def test_the_exit_code_says_whether_a_ratio_fell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    figures.write_text('{"throughput": []}', encoding="utf-8")
    assert main(str(figures)) == 1
    assert "native was not measured" in capsys.readouterr().err
