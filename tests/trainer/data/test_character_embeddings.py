"""Pretrained embeddings: random fill is left out, and files that do not fit are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaixun.trainer.data.character_embeddings import read_embeddings
from kuaixun.trainer.errors import EmbeddingError

RANDOM = np.random.default_rng(5)
TRAINED = RANDOM.normal(0.0, 0.3, (3, 16))
FILL = RANDOM.uniform(0.0, 1.0, (1, 16))
TABLE = np.concatenate([TRAINED[:2], FILL, TRAINED[2:]])
VOCABULARY = {"中": 0, "国": 1, "A": 2, "<UNK>": 3}


def saved(folder: Path, table: NDArray[np.float64], vocabulary: object, key: str = "embeddings") -> tuple[Path, Path]:
    npz, names = folder / "table.npz", folder / "vocabulary.json"
    np.savez(npz, **{key: table})  # type: ignore[arg-type]  # numpy types the keywords of savez as its own flag
    names.write_text(json.dumps(vocabulary), encoding="utf-8")
    return npz, names


def test_rows_of_random_fill_and_names_that_are_no_character_are_left_out(tmp_path: Path) -> None:
    read = read_embeddings(*saved(tmp_path, TABLE, VOCABULARY))

    assert read.rows == {"中": 0, "国": 1}
    assert read.size == 16
    np.testing.assert_allclose(read.vectors[1], TABLE[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("table", "vocabulary", "key", "reason"),
    [
        (TABLE, {"中": 0}, "embeddings", "names 1 characters"),
        (TABLE, {**VOCABULARY, "国": 0}, "embeddings", "each row"),
        (TABLE, ["中"], "embeddings", "expected one JSON object"),
        (TABLE, {**VOCABULARY, "国": "1"}, "embeddings", "expected one JSON object"),
        (TABLE, VOCABULARY, "weights", "no .npz file with an array named 'embeddings'"),
        (TABLE[0], VOCABULARY, "embeddings", "(16,)"),
        (np.full((4, 16), np.nan), VOCABULARY, "embeddings", "row 0 is not finite"),
        (np.tile(FILL, (4, 1)), VOCABULARY, "embeddings", "random fill"),
        (np.full((4, 16), -0.5), VOCABULARY, "embeddings", "its numbers spread by 0;"),
        (TABLE * 1e38, VOCABULARY, "embeddings", "its numbers spread by inf;"),
    ],
)
def test_tables_that_do_not_fit_are_refused_with_the_reason(
    tmp_path: Path, table: NDArray[np.float64], vocabulary: object, key: str, reason: str
) -> None:
    npz, names = saved(tmp_path, table, vocabulary, key)

    with pytest.raises(EmbeddingError) as caught:
        read_embeddings(npz, names)

    assert str(tmp_path) in str(caught.value)
    assert reason in str(caught.value)


def test_pickled_arrays_are_never_opened(tmp_path: Path) -> None:
    npz, names = saved(tmp_path, np.array([object()]), VOCABULARY)

    with pytest.raises(EmbeddingError, match="cannot be read"):
        read_embeddings(npz, names)


def test_a_bare_array_is_refused_with_the_way_to_save_it(tmp_path: Path) -> None:
    _, names = saved(tmp_path, TABLE, VOCABULARY)
    np.save(tmp_path / "table.npy", TABLE)

    with pytest.raises(EmbeddingError, match=r"table\.npy: no \.npz file .*; save it with numpy\.savez\(FILE, emb"):
        read_embeddings(tmp_path / "table.npy", names)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    npz, names = saved(tmp_path, TABLE, VOCABULARY)
    npz.write_bytes(b"PK\x03\x04 cut short")

    with pytest.raises(EmbeddingError, match=r"table\.npz: cannot be read as \.npz"):
        read_embeddings(npz, names)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_archive_is_refused_wherever_the_damage_is(tmp_path: Path, save: Callable[..., None]) -> None:
    npz, names = saved(tmp_path, TABLE, VOCABULARY)
    save(npz, embeddings=TABLE.astype(np.float32))
    whole = npz.read_bytes()
    refused = 0
    for place in range(len(whole)):
        flipped = (0x01, 0x06, 0x20, 0xFF)[place % 4]
        npz.write_bytes(whole[:place] + bytes([whole[place] ^ flipped]) + whole[place + 1 :])
        try:
            read_embeddings(npz, names)
        except EmbeddingError:
            refused += 1

    assert refused > len(whole) / 2  # an archive has bytes, such as its date, that say nothing of the array


def test_a_text_file_is_refused_without_advice_to_load_it_unsafely(tmp_path: Path) -> None:
    npz, names = saved(tmp_path, TABLE, VOCABULARY)
    npz.write_text("股市\t0\n", encoding="utf-8")

    with pytest.raises(EmbeddingError, match=r"table\.npz: .* no archive of arrays of numbers$") as caught:
        read_embeddings(npz, names)

    assert "pickle" not in str(caught.value)


def test_a_vocabulary_in_another_encoding_is_told_how_to_be_saved(tmp_path: Path) -> None:
    npz, names = saved(tmp_path, TABLE, VOCABULARY)
    names.write_bytes('{"中": 0}'.encode("gbk"))

    with pytest.raises(EmbeddingError, match="save it as UTF-8"):
        read_embeddings(npz, names)
