"""A bundle opens whole and as it was made, or is refused with the file and the reason."""

from __future__ import annotations

import io
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import numpy as np
import pytest
import torch

from kuaixun.export import BundleError, BundleTamperedError, BundleVersionError, GoldenCaseError, open_classifier
from kuaixun.export._native import NativeError
from kuaixun.export.bundle.file_names import GOLDEN_FILE, MANIFEST_FILE, REQUIRED_FILES, TORCHSCRIPT_FILE, WEIGHTS_FILE
from kuaixun.export.bundle.golden import GOLDEN_TEXTS, check_golden, golden_from_file
from kuaixun.export.bundle.reader import Bundle, open_bundle, read_bundle
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from kuaixun.export.engine import native
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.engine.select import ENGINES, open_engine, present_engines
from kuaixun.export.errors import CheckpointError, EngineError
from kuaixun.export.student.tracing import trace
from kuaixun.export.text.file_names import CODE_POINTS_FILE, PATTERNS_FILE, VOCABULARY_FILE
from kuaixun.export.text.pipeline import Encoded
from tests.export.hostile_bundles import MANIFESTS, TABLES, rewrite, rewrite_at, rewrite_table

ALL_FILES = sorted({*REQUIRED_FILES, MANIFEST_FILE})


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "copy"))


def test_a_bundle_holds_what_the_checkpoint_held(bundle: Bundle, checkpoint: Checkpoint) -> None:
    assert bundle.manifest.labels == checkpoint.record.labels
    assert bundle.manifest.training == checkpoint.record.training
    assert bundle.pipeline.vocabulary == checkpoint.pipeline.vocabulary
    trained = checkpoint.state["convolutions.1.weight"]
    assert np.array_equal(bundle.weights.convolutions[1], trained.astype(np.float16).astype(np.float32))
    assert [case.text for case in bundle.golden] == list(GOLDEN_TEXTS)


def test_the_model_id_changes_with_any_content_and_with_nothing_else(bundle: Bundle, bundle_path: Path) -> None:
    assert read_bundle(bundle_path).manifest.model_id == bundle.manifest.model_id
    warmer = msgspec.structs.replace(bundle.manifest, temperature=1.6)
    assert warmer.content_id() != bundle.manifest.model_id


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_one_flipped_byte_in_any_file_is_refused_by_name(copy: Path, name: str, place: float) -> None:
    content = bytearray((copy / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x20
    (copy / name).write_bytes(content)
    with pytest.raises((BundleTamperedError, BundleVersionError), match=name):
        read_bundle(copy)


def test_a_checkpoint_is_no_bundle_and_the_way_to_one_is_told(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", checkpoint)

    with pytest.raises(BundleError, match=r"is a checkpoint and no bundle; .*: kuaixun-export build .*run BUNDLE"):
        open_classifier(tmp_path / "run")


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_file_cut_short_lengthened_or_missing_is_refused_by_name(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    for other in (content[:-1], content + b"x", None):
        if other is None:
            (copy / name).unlink()
        else:
            (copy / name).write_bytes(other)
        with pytest.raises(BundleTamperedError, match=name):
            read_bundle(copy)


def test_another_format_version_is_told_apart_from_damage(copy: Path) -> None:
    manifest = (copy / MANIFEST_FILE).read_text(encoding="utf-8")
    (copy / MANIFEST_FILE).write_text(manifest.replace('"format_version": 3', '"format_version": 2'), encoding="utf-8")
    with pytest.raises(BundleVersionError, match=r"format 2; .* reads format 3\. Build it again from its checkpoint"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("files", "fields", "reason"),
    [
        ({CODE_POINTS_FILE: b"zz"}, {}, "codepoints.tsv: line 1"),
        ({CODE_POINTS_FILE: b"# nothing folds\n"}, {}, "codepoints.tsv: the table keeps surrogates"),
        ({VOCABULARY_FILE: b"\xff"}, {}, "vocabulary.tsv: 'utf-8' codec"),
        ({VOCABULARY_FILE: b"[PAD]\n[UNK]\n[CLS]\nU+0061\ta\n"}, {}, "a vocabulary of 4 entries"),
        (
            {PATTERNS_FILE: b'{"patterns":[{"name":"x","guard":"","regex":"(a+)+$","replacement":""}]}'},
            {},
            "not one of",
        ),
        ({WEIGHTS_FILE: b"\xff" * 64}, {}, "weights.safetensors does not fit"),
        ({GOLDEN_FILE: b""}, {}, "golden.jsonl is unusable: it holds no case"),
        ({GOLDEN_FILE: b'{"text":"","cleaned":"","ids":[],"logits":[0]}\n'}, {}, "1 logits for 3 labels"),
        ({"../escape": b""}, {}, "no name for a file"),
        ({}, {"labels": ("finance", "finance", "game")}, "names a label twice"),
        ({}, {"labels": ("finance", "game")}, "does not fit"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    copy: Path, files: dict[str, bytes], fields: dict[str, Any], reason: str
) -> None:
    rewrite(copy, files, **fields)
    with pytest.raises(BundleError, match=reason):
        read_bundle(copy)


def _cut(copy: Path) -> None:
    (copy / WEIGHTS_FILE).write_bytes(b"")


def _of_another_format(copy: Path) -> None:
    rewrite(copy, format_version=1)


def _unusable(copy: Path) -> None:
    rewrite(copy, {WEIGHTS_FILE: b"\xff" * 64})


def _answering_otherwise(copy: Path) -> None:
    case, *others = golden_from_file((copy / GOLDEN_FILE).read_bytes(), classes=3)
    cases = [msgspec.structs.replace(case, cleaned="altered"), *others]
    rewrite(copy, {GOLDEN_FILE: b"\n".join(msgspec.json.encode(case) for case in cases)})


@pytest.mark.parametrize(
    ("alter", "kind"),
    [
        (_cut, BundleTamperedError),
        (_of_another_format, BundleVersionError),
        (_unusable, BundleError),
        (_answering_otherwise, GoldenCaseError),
    ],
)
def test_what_the_native_engine_refuses_has_the_name_that_python_gives_it(
    copy: Path, alter: Callable[[Path], None], kind: type[BundleError]
) -> None:
    opened = open_bundle(copy)  # so that C++ meets it first
    alter(copy)
    with pytest.raises(BundleError) as by_cpp:
        open_engine(opened, EngineChoice("native"))
    with pytest.raises(BundleError) as by_python:
        open_engine(read_bundle(copy), EngineChoice("torchscript", "cpu"))
    assert type(by_cpp.value) is type(by_python.value) is kind


def test_an_engine_that_memory_does_not_suffice_for_is_an_engine_error(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for raised in (MemoryError(), NativeError("too large", "EngineError")):
        monkeypatch.setattr(native, "NativeClassifier", Mock(side_effect=raised))
        with pytest.raises(EngineError):
            open_engine(bundle, EngineChoice("native"))


def test_an_id_that_no_vocabulary_has_is_the_callers_mistake(bundle: Bundle) -> None:
    beyond = Encoded(ids=np.full((1, 1), 1 << 20, np.int32), lengths=np.ones(1, np.int64))
    with pytest.raises(ValueError, match="the token id 1048576 lies outside the vocabulary"):
        open_engine(bundle, EngineChoice("native")).logits(beyond)


def test_rows_wider_than_any_text_of_the_bundle_are_the_callers_mistake(bundle: Bundle) -> None:
    """Their sums of n-grams need not fit 32 bits."""
    wide = Encoded(ids=np.full((1, 25), 5, np.int32), lengths=np.full(1, 25, np.int64))
    with pytest.raises(ValueError, match="rows of 25 token ids are wider than the bundle's max_tokens, 24; cut them"):
        open_engine(bundle, EngineChoice("native")).logits(wide)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_whose_name_is_not_utf8_is_a_bundle_like_any(bundle_path: Path, tmp_path: Path, engine: str) -> None:
    folder = tmp_path / os.fsdecode(b"\xff\xfe")
    shutil.copytree(bundle_path, folder)
    assert len(open_classifier(folder, engine=engine, device="cpu").classify(["央行降准"])) == 1
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(BundleError, match=WEIGHTS_FILE):
        open_classifier(folder, engine=engine, device="cpu")


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_that_do_not_fit_never_serve_on_any_engine(copy: Path, engine: str) -> None:
    rewrite(copy, {WEIGHTS_FILE: b"\xff" * 64})
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        open_classifier(copy, engine=engine)


def test_a_bundle_that_is_replaced_while_it_is_opened_never_serves(copy: Path) -> None:
    opened = open_bundle(copy)
    rewrite(copy, {}, labels=tuple(reversed(opened.manifest.labels)))
    with pytest.raises(BundleTamperedError, match="was replaced while it was opened"):
        open_engine(opened, EngineChoice("native"))


def test_a_manifest_that_merely_bears_the_same_id_never_serves_natively(copy: Path) -> None:
    """An id of 64 bits can be met on purpose; a signature is of the bytes themselves."""
    opened = open_bundle(copy)
    (copy / MANIFEST_FILE).write_bytes(b"\n" + opened.manifest_content)
    assert read_bundle(copy).manifest.model_id == opened.manifest.model_id
    with pytest.raises(BundleTamperedError, match="was replaced while it was opened"):
        open_engine(opened, EngineChoice("native"))


def test_a_link_that_is_turned_later_changes_nothing_for_an_open_bundle(copy: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(copy)
    opened = open_bundle(link)
    link.unlink()
    link.symlink_to(tmp_path)
    opened.read_all()
    assert opened.path == copy.resolve()


@pytest.mark.parametrize(("place", "value", "reason"), MANIFESTS)
def test_a_manifest_that_cannot_be_served_is_refused_however_well_it_hashes(
    copy: Path, place: tuple[str, ...], value: object, reason: str
) -> None:
    rewrite_at(copy, place, value)
    with pytest.raises(BundleError, match=f"is not a manifest: .*{reason}"):
        read_bundle(copy)


@pytest.mark.parametrize("content", TABLES)
def test_a_table_of_another_spelling_or_with_surrogates_is_refused(copy: Path, content: bytes) -> None:
    rewrite_table(copy, content)
    with pytest.raises(BundleError, match=r"codepoints\.tsv: "):
        read_bundle(copy)


class _ScoresTwo(torch.nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(ids.shape[0], 2)


def test_a_student_file_that_is_no_student_is_refused_by_name(copy: Path) -> None:
    sound = (copy / TORCHSCRIPT_FILE).read_bytes()
    for content in (b"", b"\x00" * 64, sound[: len(sound) // 2], b"PK\x05\x06" + b"\x00" * 18):
        rewrite(copy, {TORCHSCRIPT_FILE: content})
        with pytest.raises(BundleError, match=r"student\.pt holds no student"):
            open_classifier(copy, engine="torchscript-convolutional", device="cpu")
    rewrite(copy, {TORCHSCRIPT_FILE: torchscript(_ScoresTwo())})
    with pytest.raises(BundleError, match=r"student\.pt does not score the manifest's labels"):
        open_classifier(copy, engine="torchscript-convolutional", device="cpu")


def torchscript(module: torch.nn.Module) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        torch.jit.save(trace(module), buffer)
    return buffer.getvalue()


def test_a_bundle_without_a_required_file_is_refused(copy: Path, bundle: Bundle) -> None:
    entries = {name: entry for name, entry in bundle.manifest.files.items() if name != GOLDEN_FILE}
    rewrite_at(copy, ("files",), msgspec.to_builtins(entries))
    with pytest.raises(BundleError, match=r"lists no golden\.jsonl"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("field", "value"),
    [("cleaned", "别的"), ("ids", (3,)), ("logits", (9.0, 0.0, 0.0))],
    ids=["cleaned", "ids", "logits"],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_answers_otherwise_never_serves(copy: Path, engine: str, field: str, value: Any) -> None:
    cases = list(golden_from_file((copy / GOLDEN_FILE).read_bytes(), classes=3))
    cases[1] = msgspec.structs.replace(cases[1], **{field: value})
    rewrite(copy, {GOLDEN_FILE: b"\n".join(msgspec.json.encode(case) for case in cases)})
    with pytest.raises(GoldenCaseError, match="golden case 2"):
        open_classifier(copy, engine=engine)


@pytest.mark.parametrize("choice", present_engines(), ids=lambda choice: f"{choice.name}-{choice.precision}")
def test_every_engine_passes_the_golden_cases_closely(bundle: Bundle, choice: EngineChoice) -> None:
    engine = open_engine(bundle, choice)
    closely = {"int8": 0.1, "bf16": 0.05}.get(choice.precision, 1e-4)
    assert check_golden(bundle.golden, bundle.pipeline, engine, bundle.path) < closely


def test_a_bundle_is_never_written_over_another(bundle_path: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(FileExistsError, match="exists already"):
        write_bundle(bundle_path, checkpoint)


def test_a_checkpoint_survives_being_written(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", checkpoint)
    again = read_checkpoint(tmp_path / "run")
    assert again.record == checkpoint.record
    assert again.pipeline.vocabulary == checkpoint.pipeline.vocabulary
    assert all(np.array_equal(again.state[name], tensor) for name, tensor in checkpoint.state.items())


def test_a_damaged_checkpoint_is_refused_with_its_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No such file.*checkpoint\.json"):
        read_checkpoint(tmp_path / "none")
    write_checkpoint(tmp_path / "run", checkpoint)
    (tmp_path / "run" / VOCABULARY_FILE).write_text("[PAD]\n[UNK]\n[CLS]\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="a vocabulary of 3 entries"):
        read_checkpoint(tmp_path / "run")
