"""The scaling report says what its figures say; and a run on a real Kafka has a figure for every point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from kuaixun.schemas.codec import decode_raw_news
from tests.benchmarks.failures import finish_measuring
from tests.benchmarks.stream.progress import DrainError, Progress
from tests.benchmarks.stream.scaling.__main__ import measure, run, show, summed_up
from tests.benchmarks.stream.scaling.cases import MESSAGES, SCALED, Case, Series, cases
from tests.benchmarks.stream.scaling.costs import TITLES, Cost, drained, values_of
from tests.benchmarks.stream.scaling.figures import Row, flatness, lines, rows
from tests.benchmarks.stream.scaling.plots import write_plots


def row(series: Series, point: int, microseconds: float, contender: str = "native") -> Row:
    return Row(contender, series, point, microseconds, 1e5, [microseconds], [1e5])


def test_every_point_varies_one_thing() -> None:
    wanted = cases(["partitions", "messages", "characters", "processes"])
    assert [case.point for case in wanted if case.series == "partitions"] == [1, 4, 16, 64]
    assert [case.point for case in wanted if case.series == "messages"] == [10_000, 100_000, 1_000_000, 5_000_000]
    assert [case.point for case in wanted if case.series == "characters"] == [4, 8, 16, 32, 64, 128]
    assert [case.point for case in wanted if case.series == "processes"] == [1, 2]
    middle = Case("partitions")
    for case in wanted:
        assert replace(case, series="partitions", **{case.series: getattr(middle, case.series)}) == middle
    assert middle.messages == MESSAGES
    assert [case.point for case in cases(["messages"], most_messages=100_000)] == [10_000, 100_000]


def test_a_row_has_the_median_of_its_rounds() -> None:
    case = Case("partitions", partitions=16)
    (found,) = rows([Cost("native", case, cost, 1e6 / cost) for cost in (9.0, 4.0, 5.0)])
    assert (found.series, found.point, found.processor_microseconds) == ("partitions", 16, 5.0)
    assert found.processor_microseconds_by_round == [9.0, 4.0, 5.0]
    assert found.messages_per_second == 200_000


@pytest.mark.parametrize(("most", "within", "kept"), [(11.6, 0.1542, False), (11.4, 0.1456, True)])
def test_costs_are_flat_where_one_cost_is_within_15_percent_of_all(most: float, within: float, kept: bool) -> None:
    found = [row("partitions", 1, 8.5), row("partitions", 64, most), row("characters", 4, 100.0)]
    (flat,) = flatness(found)
    assert (flat.contender, flat.series, flat.kept) == ("native", "partitions", kept)
    assert flat.within == pytest.approx(within, abs=1e-4)


def test_lines_go_through_what_is_read_and_through_all() -> None:
    by_length = {4: 3.4, 8: 3.8, 16: 4.6, 32: 6.2, 64: 6.3, 128: 6.5}
    read, whole = lines([row("characters", point, cost) for point, cost in by_length.items()], read_characters=32)
    assert (read.up_to, whole.up_to) == (32, 128)
    assert read.microseconds_per_character == pytest.approx(0.1)
    assert read.microseconds_per_message == pytest.approx(3.0)
    assert read.off_the_line == pytest.approx(0.0, abs=1e-4)
    assert whole.off_the_line > 0.05


def test_how_far_a_point_is_off_is_told_as_a_share_of_the_line() -> None:
    (line,) = lines([row("characters", x, y) for x, y in ((0, 10.0), (1, 13.0), (2, 10.0))], read_characters=2)
    assert line.off_the_line == pytest.approx(2 / 11, abs=1e-4)


@pytest.mark.parametrize("characters", [4, 128])
def test_titles_have_the_characters_asked_for_before_and_after_cleaning(characters: int) -> None:
    titles = [decode_raw_news(value).title for value in values_of(characters)]
    assert len(titles) == TITLES
    cleaned = open_bundle(default_bundle_path()).pipeline.clean(titles)
    assert {*map(len, titles), *map(len, cleaned)} == {characters}


def test_only_who_shares_partitions_and_reads_committed_records_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert SCALED == ("passthrough", "null", "native", "torchscript")
    with pytest.raises(SystemExit):
        run(["--only", "faust_agent-native"])
    assert "'faust_agent-native' is none of passthrough, null, native, torchscript" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "name"), [("--plots", "plain"), ("--json", "plain/figures.json")])
def test_what_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, option: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain").write_text("a file", encoding="utf-8")
    assert finish_measuring("scaling", lambda: run([option, str(tmp_path / name)])) == 1
    assert f"scaling: {option} {tmp_path / name}: " in capsys.readouterr().err


class Counted(Progress):
    """An output that has so many outcomes, one number a look; a backlog that is written to nobody."""

    def __init__(self, *counts: int) -> None:
        self._seen = list(counts)
        self.is_let_go = False

    def count(self) -> int:
        return self._seen.pop(0)

    def write(self, count: int) -> None:
        """Nothing."""

    def let_go(self) -> None:
        self.is_let_go = True


def test_who_reads_a_backlog_before_it_is_let_go_is_not_measured() -> None:
    read_early, in_time = cast(Any, Counted(100, 101)), cast(Any, Counted(100, 100, 105, 110))
    with pytest.raises(DrainError, match="1 outcomes of a backlog that was not let go yet"):
        drained(read_early, [], read_early, 10)
    assert not read_early.is_let_go
    assert drained(in_time, [], in_time, 10)[0] == 0
    assert in_time.is_let_go


def test_a_small_run_has_every_row_and_draws_it(
    kafka_bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [
        Case("partitions", messages=2_000, partitions=1),
        Case("partitions", messages=2_000, partitions=16),
        Case("characters", messages=2_000, characters=8),
        Case("characters", messages=2_000, characters=64),
    ]
    names = ["passthrough", "native"]
    said = summed_up(
        list(measure(kafka_bootstrap, names, wanted, rounds=1, warm_messages=1_000, least_messages=4_000)), {}
    )
    assert {(one.contender, one.series, one.point) for one in said.rows} == {
        (name, case.series, case.point) for name in names for case in wanted
    }
    for one in said.rows:
        assert one.processor_microseconds > 0
        assert one.messages_per_second > 0
    assert [(one.contender, one.series) for one in said.flat] == [(name, "partitions") for name in names]
    assert [(one.contender, one.up_to) for one in said.lines] == [(name, 64) for name in names]
    written = write_plots(tmp_path, said.rows, said.lines)
    assert [path.name for path in written] == ["scaling-partitions.svg", "scaling-characters.svg"]
    for path in written:
        texts = " ".join(ElementTree.parse(path).getroot().itertext())  # noqa: S314 - drawn by us
        assert "µs a message" in texts
        assert "native" in texts
    show(said)
    assert "native, titles of up to 64 characters" in capsys.readouterr().out
