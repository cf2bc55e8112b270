"""Splits: every row in one part, what says the same in the same part, classes in their shares."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kuaixun.trainer.data.labelled_texts import LabelledTexts, read_classes, read_labelled_texts
from kuaixun.trainer.data.repeats import compared
from kuaixun.trainer.data.splitting import folder_of, scarce_classes, split_texts
from kuaixun.trainer.errors import DataError, SettingError

LABELS = ("甲", "乙", "丙")


def labelled(rows: list[tuple[str, int]], source: str = "all.txt", labels: tuple[str, ...] = LABELS) -> LabelledTexts:
    texts, label_ids = zip(*rows, strict=True)
    lines = tuple(range(1, len(rows) + 1))
    return LabelledTexts(texts, np.array(label_ids), labels, Path(source), "0" * 64, lines)


# Few characters, so that texts repeat, to the letter, but for punctuation, and under several labels; and enough
# different texts of two classes that no split is refused.
ENOUGH = [(f"{text}{label_id}", label_id) for label_id in (0, 1) for text in ("甲", "乙", "丙")]
REPEATING = st.lists(
    st.tuples(st.text("ab股Ａ！ ☺", min_size=1, max_size=4).filter(str.strip), st.integers(0, 1)), max_size=80
).map(lambda rows: rows + ENOUGH)
DISTINCT = st.lists(st.integers(0, 2), min_size=30, max_size=200).map(
    lambda label_ids: [(f"第{row}条", label_id) for row, label_id in enumerate(label_ids)]
)
RATIOS = st.sampled_from([(8.0, 1.0, 1.0), (7.0, 3.0), (1.0, 1.0, 1.0), (0.7, 0.15, 0.15), (99.0, 1.0)])


@given(REPEATING, RATIOS, st.integers(0, 5))
def test_every_row_is_in_one_part_and_nothing_said_twice_is_in_two(
    rows: list[tuple[str, int]], ratios: tuple[float, ...], seed: int
) -> None:
    data = labelled(rows)

    parts = split_texts(data, ratios, seed=seed)

    lines = [line for part in parts.values() for line in part.lines]
    assert sorted(lines) == list(range(1, len(rows) + 1))
    for part in parts.values():
        assert list(part.lines) == sorted(part.lines)
        assert [(part.texts[row], int(part.label_ids[row])) for row in range(len(part))] == [
            rows[line - 1] for line in part.lines
        ]
    said = [set(compared(part.texts).normalised) for part in parts.values()]
    assert sum(map(len, said)) == len(set.union(*said))


@given(DISTINCT, RATIOS, st.integers(0, 5))
def test_each_class_has_its_share_in_each_part(
    rows: list[tuple[str, int]], ratios: tuple[float, ...], seed: int
) -> None:
    data = labelled(rows)
    sizes = np.bincount(data.label_ids, minlength=3)
    assume((sizes > 0).sum() > 1)
    assume(sizes[sizes > 0].min() >= 10)

    parts = split_texts(data, ratios, seed=seed)

    for part, ratio in zip(parts.values(), ratios, strict=True):
        found = np.bincount(part.label_ids, minlength=3)
        assert (np.abs(found - sizes * ratio / sum(ratios)) <= 1).all()
        assert (found[sizes > 0] > 0).all()


def test_a_seed_gives_one_split_and_another_seed_another() -> None:
    data = labelled([(f"第{row}条", row % 3) for row in range(90)])

    assert split_texts(data, seed=1)["dev"].lines == split_texts(data, seed=1)["dev"].lines
    assert split_texts(data, seed=1)["dev"].lines != split_texts(data, seed=2)["dev"].lines


def test_duplicates_do_not_all_end_in_the_largest_part() -> None:
    pairs = [(f"双{row // 2}", row % 4 // 2) for row in range(100)]
    data = labelled(pairs + [(f"单{row}", row % 2) for row in range(300)])

    parts = split_texts(data)

    assert {name: len(part) for name, part in parts.items()} == {"train": 320, "dev": 40, "test": 40}
    assert all(sum(text.startswith("双") for text in part.texts) > 4 for part in parts.values())


def test_a_class_with_too_few_different_texts_is_refused_by_name() -> None:
    rows = [(f"第{row}条", 0) for row in range(20)] + [("同", 1), ("同！", 1), ("异", 1)]

    with pytest.raises(DataError, match=r"all\.txt: the class '乙' has 2 different texts in 3 rows, too few"):
        split_texts(labelled(rows))
    assert set(split_texts(labelled(rows), (7, 3))["test"].label_ids.tolist()) == {0, 1}


def test_a_class_whose_texts_also_stand_under_another_label_is_refused_with_an_example() -> None:
    rows = [(f"第{row}条", 0) for row in range(20)] + [(f"第{row}条！", 1) for row in range(5, 15)]

    with pytest.raises(
        DataError, match=r"all\.txt: of 10 different texts of the class '乙', 10 also stand under"
    ) as caught:
        split_texts(labelled(rows))
    assert "as in line 21 and, under '甲', in line 6; too few are its own for 3 parts" in str(caught.value)


def test_a_class_with_few_texts_is_told_all_that_it_has() -> None:
    rows = [(f"第{row}条", 0) for row in range(20)] + [("第0条", 1), ("异", 1)]

    with pytest.raises(DataError, match="the class '乙' has 2 different texts in 2 rows, too few for 3 parts"):
        split_texts(labelled(rows))


def test_one_class_and_other_ratios_are_refused() -> None:
    rows = [(f"第{row}条", 0) for row in range(20)]

    with pytest.raises(DataError, match="all 20 texts are of one class, '甲'"):
        split_texts(labelled(rows))
    for ratios in ((1.0,), (1.0, 0.0), (1.0, 1.0, 1.0, 1.0), (1.0, float("nan"))):
        with pytest.raises(SettingError, match="8:1:1"):
            split_texts(labelled(rows), ratios)


def test_classes_that_are_scarce_in_a_part_are_named() -> None:
    parts = split_texts(labelled([(f"第{row}条", int(row < 30)) for row in range(300)], labels=("多", "少")))

    found = {(scarce.part, scarce.label): scarce.texts for scarce in scarce_classes(parts)}

    assert found == {("dev", "少"): 3, ("test", "少"): 3}


@pytest.mark.parametrize("source", ["all.txt", "all.CSV"])
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\t\n\r\x00", codec="utf-8"), max_size=6), min_size=4, max_size=12
    )
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, source: str, endings: list[str]
) -> None:
    texts = [f"{ending} {row}条" for row, ending in enumerate(endings)]  # apart: an address would swallow the number
    if source.endswith("CSV"):
        texts = [f'\ufeff"{text},\n' for text in texts]
    data = labelled([(text, row % 2) for row, text in enumerate(texts)], source, ("0", "a, b"))
    folder = tmp_path_factory.mktemp("parts")

    parts = split_texts(data, (1, 1))
    for name, content in folder_of(parts).items():
        (folder / name).write_bytes(content)

    labels = read_classes(folder / "class.txt")
    assert labels == data.labels
    for name, part in parts.items():
        read = read_labelled_texts(folder / f"{name}{source[-4:].lower()}", labels=labels)
        assert read.texts == part.texts
        assert read.label_ids.tolist() == part.label_ids.tolist()


def test_a_carriage_return_within_a_cell_is_read_back(tmp_path: Path) -> None:
    data = labelled([(f"第\r{row}条\r\n", row % 2) for row in range(8)], "all.csv", ("a", "b"))

    parts = split_texts(data, (1, 1))
    for name, content in folder_of(parts).items():
        (tmp_path / name).write_bytes(content)

    for name, part in parts.items():
        assert read_labelled_texts(tmp_path / f"{name}.csv").texts == part.texts


def test_a_label_that_no_list_of_classes_can_hold_is_refused() -> None:
    parts = split_texts(labelled([(f"第{row}条", row % 2) for row in range(20)], "all.csv", ("a\nb", "c")))

    with pytest.raises(DataError, match=r"the label 'a\\nb' holds a tab or a line break; rename it"):
        folder_of(parts)


def test_shares_are_those_of_all_rows_together() -> None:
    data = labelled([(f"第{row}条", row % 2) for row in range(1000)], labels=("a", "b"))

    parts = split_texts(data)

    assert [(len(part), *sorted(Counter(part.label_ids.tolist()).values())) for part in parts.values()] == [
        (800, 400, 400),
        (100, 50, 50),
        (100, 50, 50),
    ]
