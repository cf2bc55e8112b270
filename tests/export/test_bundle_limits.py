"""What a bundle may weigh, and what opening one may take: a hostile one takes hardly more memory than a sound one."""

from __future__ import annotations

import bisect
import hashlib
import json
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kuaixun.export import BundleError
from kuaixun.export.bundle.file_names import GOLDEN_FILE, MANIFEST_FILE, WEIGHTS_FILE
from kuaixun.export.bundle.limits import (
    CODE_POINTS_LIMIT_BYTES,
    FILE_LIMIT_BYTES,
    GOLDEN_CLASS_LIMIT_BYTES,
    GOLDEN_LIMIT_BYTES,
    MANIFEST_LIMIT_BYTES,
    PATTERNS_LIMIT_BYTES,
    TOTAL_LIMIT_BYTES,
    file_limit_bytes,
)
from kuaixun.export.bundle.reader import Bundle, open_bundle, read_manifest
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint
from kuaixun.export.errors import CheckpointError
from kuaixun.export.student.safetensors_header import HEADER_LIMIT_BYTES
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.text.file_names import CODE_POINTS_FILE, PATTERNS_FILE, VOCABULARY_FILE
from kuaixun.schemas.manifest import LABELS_LIMIT, LABELS_LIMIT_BYTES, Architecture, NgramBranch
from tests.export.both_readers import BothReaders, by_python
from tests.export.conftest import LABELS
from tests.export.hostile_bundles import rewrite, rewrite_at, sign

MEBIBYTE = 1 << 20
_GOLDEN_BYTES = GOLDEN_LIMIT_BYTES + len(LABELS) * GOLDEN_CLASS_LIMIT_BYTES  # of the bundle here
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.fixture(scope="module")
def readers(runtime: Path) -> BothReaders:
    return BothReaders(runtime / "libkuaixun.so")


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "copy"))


def _spaces_after(content: bytes, size: int) -> bytes:
    """JSON that says the same and ends in a newline."""
    return content[:-1] + b" " * (size - len(content)) + content[-1:]


def _comment_before(content: bytes, size: int) -> bytes:
    return b"#" + b"x" * (size - len(content) - 2) + b"\n" + content


def _spaces_in_header(content: bytes, size: int) -> bytes:
    """The format fills a header up with spaces."""
    end = 8 + int.from_bytes(content[:8], "little")
    filled = content[8:end] + b" " * (size - len(content))
    return len(filled).to_bytes(8, "little") + filled + content[end:]


def _weights_limit_bytes(copy: Path) -> int:
    header_bytes = int.from_bytes((copy / WEIGHTS_FILE).read_bytes()[:8], "little")
    return (copy / WEIGHTS_FILE).stat().st_size - header_bytes + HEADER_LIMIT_BYTES


@pytest.mark.parametrize(
    ("name", "limit_of", "filled"),
    [
        (GOLDEN_FILE, lambda _: _GOLDEN_BYTES, _spaces_after),
        (PATTERNS_FILE, lambda _: PATTERNS_LIMIT_BYTES, _spaces_after),
        (CODE_POINTS_FILE, lambda _: CODE_POINTS_LIMIT_BYTES, _comment_before),
        (WEIGHTS_FILE, _weights_limit_bytes, _spaces_in_header),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_of_the_most_bytes_is_taken_and_of_one_more_refused_by_both_readers(
    readers: BothReaders,
    copy: Path,
    name: str,
    limit_of: Callable[[Path], int],
    filled: Callable[[bytes, int], bytes],
) -> None:
    content, limit_bytes = (copy / name).read_bytes(), limit_of(copy)
    rewrite(copy, {name: filled(content, limit_bytes)})
    assert readers.agree(copy)
    rewrite(copy, {name: filled(content, limit_bytes + 1)})
    told = f"{MANIFEST_FILE} promises {name} at {limit_bytes + 1} bytes, and no bundle's has more than {limit_bytes}"
    readers.refuse(copy, told)


def test_a_manifest_of_the_most_bytes_is_taken_and_of_one_more_refused_by_both_readers(
    readers: BothReaders, copy: Path
) -> None:
    content = (copy / MANIFEST_FILE).read_bytes()
    (copy / MANIFEST_FILE).write_bytes(_spaces_after(content, MANIFEST_LIMIT_BYTES))
    assert readers.agree(copy)
    (copy / MANIFEST_FILE).write_bytes(_spaces_after(content, MANIFEST_LIMIT_BYTES + 1))
    readers.refuse(copy, f"{MANIFEST_FILE} is larger than the {MANIFEST_LIMIT_BYTES} bytes expected")


def test_a_vocabulary_has_room_for_its_characters_and_for_no_byte_more(
    readers: BothReaders, bundle: Bundle, copy: Path
) -> None:
    lines = [f"U+10{number:04X}\t{chr(0x100000 + number)}\n" for number in range(len(bundle.pipeline.vocabulary) - 3)]
    content = ("[PAD]\n[UNK]\n[CLS]\n" + "".join(lines)).encode()
    rewrite(copy, {VOCABULARY_FILE: content})
    readers.refuse(copy, "golden case")  # which no longer fit: its size is no reason
    rewrite(copy, {VOCABULARY_FILE: content + b"\n"})
    readers.refuse(copy, f"promises {VOCABULARY_FILE} at {len(content) + 1} bytes")


def _promise(copy: Path, sizes_bytes: dict[str, int]) -> None:
    tree: Any = json.loads((copy / MANIFEST_FILE).read_bytes())
    tree["files"] |= {name: {"size_bytes": size, "sha256": EMPTY_SHA256} for name, size in sizes_bytes.items()}
    sign(copy, tree)


def test_files_that_nobody_parses_have_a_limit_each_and_all_of_them_together(
    readers: BothReaders, bundle: Bundle, copy: Path
) -> None:
    _promise(copy, {"a": FILE_LIMIT_BYTES})
    readers.refuse(copy, f"{copy / 'a'} cannot be read")
    _promise(copy, {"a": FILE_LIMIT_BYTES + 1})
    readers.refuse(copy, f"promises a at {FILE_LIMIT_BYTES + 1} bytes")
    rest = TOTAL_LIMIT_BYTES - FILE_LIMIT_BYTES - sum(entry.size_bytes for entry in bundle.manifest.files.values())
    _promise(copy, {"a": FILE_LIMIT_BYTES, "b": rest})
    readers.refuse(copy, f"{copy / 'a'} cannot be read")
    _promise(copy, {"a": FILE_LIMIT_BYTES, "b": rest + 1})
    readers.refuse(copy, f"promises {TOTAL_LIMIT_BYTES + 1} bytes in all")


def test_weights_have_no_more_room_than_their_shape_takes(readers: BothReaders, bundle: Bundle, copy: Path) -> None:
    rewrite_at(copy, ("architecture", "embedding_size"), 4096)
    rewrite_at(copy, ("architecture", "ngrams", "bucket_bits"), 24)
    architecture = read_manifest(copy).architecture
    classes = len(bundle.manifest.labels)
    limit_bytes = file_limit_bytes(WEIGHTS_FILE, architecture, classes)
    assert file_limit_bytes(WEIGHTS_FILE, bundle.manifest.architecture, classes) < MEBIBYTE
    assert (16 << 20) * (classes + 2) < limit_bytes < 100 << 20
    rewrite_at(copy, ("files", WEIGHTS_FILE, "size_bytes"), limit_bytes + 1)
    readers.refuse(copy, f"promises {WEIGHTS_FILE} at {limit_bytes + 1} bytes, and no bundle's has more than")


SHAPES: tuple[tuple[int, dict[str, Any]], ...] = (
    (2, {"embedding_size": 1, "widths": list(range(1, 17)), "filters": 1}),
    (10, {"embedding_size": 200, "widths": [2, 3, 4], "filters": 384, "ngrams": {"bucket_bits": 18}}),
    (15, {"embedding_size": 4096, "widths": [1], "filters": 65, "ngrams": {"bucket_bits": 24}}),
    (20_000, {"embedding_size": 1, "widths": [16], "filters": 1}),
)


def _largest_vocabulary(classes: int, shape: dict[str, Any]) -> int:
    """Of a shape that is served."""

    def is_served(size: int) -> bool:
        try:
            msgspec.convert({**shape, "vocabulary_size": size}, Architecture).expect_servable(classes)
        except ValueError:
            return False
        return True

    return bisect.bisect_left(range(1 << 20), True, lo=4, key=lambda size: not is_served(size)) - 1


@pytest.mark.parametrize(("classes", "shape"), SHAPES)
def test_both_readers_draw_the_same_line_through_what_a_shape_folds_to(
    readers: BothReaders, copy: Path, classes: int, shape: dict[str, Any]
) -> None:
    largest = _largest_vocabulary(classes, shape)
    assert 10_000 < largest < 1 << 20
    rewrite_at(copy, ("labels",), [f"l{number}" for number in range(classes)])
    rewrite_at(copy, ("architecture",), {**shape, "vocabulary_size": largest})
    for verdict in (by_python(copy), readers.by_cpp(copy)):  # whose files are another's: its size is no reason
        assert not verdict.is_sound
        assert "can be served" not in verdict.message
    rewrite_at(copy, ("architecture",), {**shape, "vocabulary_size": largest + 1})
    readers.refuse(copy, "at most 536870912 can be served")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_bundle_takes_no_more_memory_than_its_shape_is_said_to_fold_to(
    runtime: Path, checkpoint: Checkpoint, bundle_path: Path, tmp_path: Path, precision: str
) -> None:
    """Of a shape that is nearly all padding: the weights are a small part of what comes of them."""
    architecture = Architecture(
        vocabulary_size=checkpoint.record.architecture.vocabulary_size,
        embedding_size=200,
        widths=tuple(range(1, 17)),
        filters=1,
        ngrams=NgramBranch(bucket_bits=16, size=1),
    )
    state = {name: tensor.numpy() for name, tensor in TextCNN(architecture, 3).state_dict().items()}
    record = msgspec.structs.replace(checkpoint.record, architecture=architecture)
    write_bundle(tmp_path / "padded", Checkpoint(record, checkpoint.pipeline, state))
    taken = peak_bytes(runtime, tmp_path / "padded", precision=precision) - peak_bytes(runtime, bundle_path)
    folded = architecture.folded_bytes(3)
    assert folded > 8 * (tmp_path / "padded" / WEIGHTS_FILE).stat().st_size
    assert taken < folded + 8 * MEBIBYTE
    if precision == "fp32":
        assert taken > folded / 2


def test_a_bundle_of_as_many_classes_as_labelled_files_may_have_is_taken_by_both_readers(
    readers: BothReaders, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    characters = LABELS_LIMIT_BYTES // LABELS_LIMIT
    labels = tuple(str(number).zfill(characters) for number in range(LABELS_LIMIT))
    architecture = msgspec.structs.replace(checkpoint.record.architecture, widths=(2,), filters=4, ngrams=None)
    training = msgspec.structs.replace(checkpoint.record.training, label_counts=dict.fromkeys(labels, 1_000_000))
    record = msgspec.structs.replace(checkpoint.record, labels=labels, architecture=architecture, training=training)
    state = {name: tensor.numpy() for name, tensor in TextCNN(architecture, len(labels)).state_dict().items()}
    write_bundle(tmp_path / "many", Checkpoint(record, checkpoint.pipeline, state))
    assert (tmp_path / "many" / GOLDEN_FILE).stat().st_size > GOLDEN_LIMIT_BYTES
    assert readers.agree(tmp_path / "many")


def test_a_bundle_that_no_reader_would_take_is_not_written(checkpoint: Checkpoint, tmp_path: Path) -> None:
    training = msgspec.structs.replace(checkpoint.record.training, command="x" * MANIFEST_LIMIT_BYTES)
    record = msgspec.structs.replace(checkpoint.record, training=training)
    with pytest.raises(CheckpointError, match=f"no more than {MANIFEST_LIMIT_BYTES} are read"):
        write_bundle(tmp_path / "bundle", Checkpoint(record, checkpoint.pipeline, checkpoint.state))
    assert not (tmp_path / "bundle").exists()


# A process starts with the peak of the one that it was forked from, so a small one stands between.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_bytes(program: Path, bundle: Path, exit_code: int = 0, precision: str = "auto") -> int:
    """The most memory that the C++ program held while it opened a bundle."""
    command: list[str | Path] = [sys.executable, "-S", "-c", MEASURE]
    command += [program / "kuaixun-classify", "--bundle", bundle, "--golden", "--precision", precision]
    measured = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(measured[0]) == exit_code
    return int(measured[1]) * 1024


def _large_file(copy: Path) -> None:
    """A hole, which takes no room on the disk either."""
    size_bytes = 200 * MEBIBYTE
    with (copy / "large").open("wb") as file:
        file.truncate(size_bytes)
    digest = hashlib.sha256()
    for _ in range(size_bytes // MEBIBYTE):
        digest.update(bytes(MEBIBYTE))
    rewrite_at(copy, ("files", "large"), {"size_bytes": size_bytes, "sha256": digest.hexdigest()})


def _manifest_of_values(copy: Path) -> None:
    """An unknown field of the training is nothing to either reader."""
    content = (copy / MANIFEST_FILE).read_bytes()
    room = (MANIFEST_LIMIT_BYTES - len(content)) // 2 - 100
    noted = b'"training": {"note": [' + b"0," * room + b"0],"
    (copy / MANIFEST_FILE).write_bytes(content.replace(b'"training": {', noted, 1))


def _golden_of_values(copy: Path) -> None:
    content = (copy / GOLDEN_FILE).read_bytes()
    case = b'{"text":"","cleaned":"","logits":[0,0,0],"ids":[0' + b",0" * ((_GOLDEN_BYTES - len(content)) // 2 - 60)
    rewrite(copy, {GOLDEN_FILE: content + case + b"]}\n"})


@pytest.mark.parametrize(("grow", "exit_code"), [(_large_file, 0), (_manifest_of_values, 0), (_golden_of_values, 3)])
def test_a_hostile_bundle_takes_hardly_more_memory_than_a_sound_one_in_cpp(
    runtime: Path, copy: Path, grow: Callable[[Path], None], exit_code: int
) -> None:
    sound = peak_bytes(runtime, copy)
    grow(copy)
    assert peak_bytes(runtime, copy, exit_code) < sound + 32 * MEBIBYTE


def test_python_hashes_what_it_does_not_need_without_keeping_it(copy: Path) -> None:
    _large_file(copy)
    tracemalloc.start()
    try:
        open_bundle(copy)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MEBIBYTE


def test_python_reads_no_file_of_another_size_than_promised(copy: Path) -> None:
    """A sparse file in the place of a small one, which a reader must not read to its end."""
    with (copy / WEIGHTS_FILE).open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match=f"{WEIGHTS_FILE} is larger than the"):
        open_bundle(copy)
