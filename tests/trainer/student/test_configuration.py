"""The shipped configurations, and what is refused of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from kuaixun.schemas.manifest import NgramBranch
from kuaixun.trainer.data.labelled_texts import read_split
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.curriculum import TrainingTexts
from kuaixun.trainer.fitting.encoded_texts import encode
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.student.configuration import read_configuration, shipped_configurations
from kuaixun.trainer.student.new_student import StudentShape, new_student
from kuaixun.trainer.student.training import fit


class Nobody:
    def stepped(self, step: int, steps: int, training_loss: float) -> None: ...

    def evaluated(self, figures: DevFigures) -> None: ...


def test_five_are_shipped() -> None:
    assert shipped_configurations() == ("default", "distilled", "published-1024", "published-256", "published-512")


@pytest.mark.parametrize("name", shipped_configurations())
def test_each_shipped_one_trains_a_step(name: str, toy_file: Callable[[str, int, int], Path]) -> None:
    configuration = read_configuration(name)
    split = read_split(toy_file("train.txt", 8, 1), toy_file("dev.txt", 8, 2))
    student = new_student(split.train, configuration.shape, seed=1, dropout=configuration.fit.dropout)

    found = fit(
        student.module,
        TrainingTexts(student.texts),
        encode(student.pipeline, split.dev),
        replace(configuration.fit, epochs=1),
        Nobody(),
    )

    assert found.steps_done == 1


def test_the_default_one_says_what_the_types_say() -> None:
    found = read_configuration("default")

    assert found.shape == StudentShape(ngrams=NgramBranch())
    assert found.fit == FitSettings()
    assert found.origin is None


def test_the_distilled_one_is_of_the_bundle_that_ships() -> None:
    shape = read_configuration("distilled").shape
    shipped = read_manifest(default_bundle_path()).architecture

    assert (shape.widths, shape.embedding_size, shape.ngrams) == (
        shipped.widths,
        shipped.embedding_size,
        shipped.ngrams,
    )
    assert shape.filters >= shipped.filters, "some of them are pruned"


@pytest.mark.parametrize(
    ("name", "widths", "filters"),
    [
        ("published-256", (2, 3, 4), 256),
        ("published-512", (2, 3, 4), 512),
        ("published-1024", (2, 3, 4, 5), 1024),
    ],
)
def test_the_published_ones_are_as_published(name: str, widths: tuple[int, ...], filters: int) -> None:
    found = read_configuration(name)

    assert (found.shape.widths, found.shape.filters) == (widths, filters)
    assert (found.shape.embedding_size, found.shape.max_tokens, found.shape.ngrams) == (300, 32, None)
    assert (found.fit.dropout, found.fit.learning_rate, found.fit.batch_size) == (0.5, 1e-3, 128)


def test_ones_own_file_is_read_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[student]\nfilters = 9\n[student.ngrams]\nsize = 5\n[training]\nepochs = 2\n", encoding="utf-8")

    found = read_configuration(str(path))

    assert found.shape == StudentShape(filters=9, ngrams=NgramBranch(size=5))
    assert found.fit == FitSettings(epochs=2)
    assert found.origin is not None
    assert (found.origin.role, found.origin.name) == ("configuration", "mine.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[student]\nfilter = 1", r"mine\.toml: 'filter' is not a key of \[student\]; known are widths, filters"),
        ("[training]\nlr = 1", r"'lr' is not a key of \[training\]"),
        ("[fit]\na = 1", "'fit' is not a section; known are student, training"),
        ("[student.ngrams]\nbits = 1", "unknown field `bits`"),
        ("[student]\nfilters = 0", r"\[student\]: --filters is 0; it must be at least 1"),
        ("[student]\nwidths = [3, 2]", "must be different, ascending"),
        ('[training]\ndropout = "a"', r"\[training\]: Expected `float`, got `str`"),
        ("[training]\nalpha = 1.5", "--alpha is 1.5"),
        ("student = 1", r"it must be a section, \[student\]"),
        ("[student", "not TOML"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(SettingError, match=reason):
        read_configuration(str(path))


def test_a_name_that_is_neither_shipped_nor_a_file_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SettingError, match="name a TOML file or one of default, distilled, published-1024"):
        read_configuration("publisht-256")


def test_a_file_that_an_editor_begins_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[student]\nfilters = 8\n", encoding="utf-8-sig")

    assert read_configuration(str(path)).shape.filters == 8
