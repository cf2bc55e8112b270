"""Every truncated, flipped, exchanged or cunningly made bundle is refused, by the Python and the C++ reader alike."""

from __future__ import annotations

import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from kuaixun.export.bundle.file_names import GOLDEN_FILE, MANIFEST_FILE, REQUIRED_FILES, WEIGHTS_FILE
from kuaixun.export.bundle.limits import GOLDEN_LIMIT_BYTES, MANIFEST_LIMIT_BYTES, PATTERNS_LIMIT_BYTES
from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.text.file_names import CODE_POINTS_FILE, PATTERNS_FILE, VOCABULARY_FILE
from kuaixun.export.text.folding import CodePointTable
from kuaixun.export.text.patterns import PATTERNS, Pattern, Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import Vocabulary
from kuaixun.schemas.manifest import Architecture, NgramBranch, TextParameters
from tests.export.both_readers import BothReaders
from tests.export.hostile_bundles import MANIFEST_TEXTS, NEUTRAL_TEXTS, rewrite, rewrite_text

ALL_FILES = sorted({*REQUIRED_FILES, MANIFEST_FILE})
PARSED_FILES = (CODE_POINTS_FILE, GOLDEN_FILE, PATTERNS_FILE, VOCABULARY_FILE, WEIGHTS_FILE)
SMALL_BYTES = 4096
SEED = 20


@pytest.fixture(scope="module")
def readers(runtime: Path) -> BothReaders:
    return BothReaders(runtime / "libkuaixun.so")


@pytest.fixture(scope="module")
def tiny(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of a few kilobytes beside its student.pt."""
    parameters = TextParameters(max_tokens=8, max_raw_chars=40)
    table = CodePointTable.from_text("0000\t001F\t-\n3000\t3000\t0020\nD800\tDFFF\t-\n")
    patterns = Patterns(patterns=PATTERNS[:1], entities={"amp": "&"})
    pipeline = TextPipeline(parameters, table, patterns, Vocabulary(("a", "中", " ")))
    ngrams = NgramBranch(orders=(2,), bucket_bits=1, size=1)
    architecture = Architecture(vocabulary_size=6, embedding_size=2, widths=(2,), filters=2, ngrams=ngrams)
    labels = ("finance", "sports")
    record = msgspec.structs.replace(checkpoint.record, text=parameters, architecture=architecture, labels=labels)
    torch.manual_seed(SEED)
    state = {name: tensor.numpy() for name, tensor in TextCNN(architecture, len(labels)).state_dict().items()}
    path = tmp_path_factory.mktemp("bundles") / "tiny"
    write_bundle(path, Checkpoint(record, pipeline, state))
    cases = (path / GOLDEN_FILE).read_bytes().splitlines(keepends=True)
    rewrite(path, {GOLDEN_FILE: b"".join(cases[-3:-1])})
    text = msgspec.json.format((path / MANIFEST_FILE).read_bytes(), indent=1)
    (path / MANIFEST_FILE).write_bytes(text + b"\n")
    return path


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


@pytest.fixture
def default_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle_path(), tmp_path / "default"))


def variants_of(file: Path, mutants: Iterator[bytes]) -> Iterator[bytes]:
    """Write each mutant in the file's place, and the file itself in the end."""
    content = file.read_bytes()
    for mutant in mutants:
        file.write_bytes(mutant)
        yield mutant
    file.write_bytes(content)


def test_the_bundles_are_sound_before_anything_is_done_to_them(
    readers: BothReaders, copy: Path, default_copy: Path
) -> None:
    assert readers.agree(copy)
    assert readers.agree(default_copy)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_file_cut_at_any_length_is_refused(readers: BothReaders, copy: Path, name: str) -> None:
    whole = (copy / name).read_bytes()
    lengths = list(range(len(whole)))
    if len(whole) > SMALL_BYTES:
        lengths = [0, 1, *random.Random(SEED).sample(lengths, 200), len(whole) - 1]
    for _ in variants_of(copy / name, (whole[:length] for length in lengths)):
        readers.refuse(copy, name)


def test_any_bit_of_the_manifest_flipped_is_refused_or_changes_nothing(readers: BothReaders, copy: Path) -> None:
    whole = (copy / MANIFEST_FILE).read_bytes()
    flipped = (flip(whole, bit) for bit in range(8 * len(whole)))
    opened = [mutant for mutant in variants_of(copy / MANIFEST_FILE, flipped) if readers.agree(copy)]
    assert opened == []


def flip(content: bytes, bit: int) -> bytes:
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_large_bundle_is_refused_wherever_a_bit_flips_or_a_file_ends(
    readers: BothReaders, default_copy: Path, name: str
) -> None:
    generator = random.Random(SEED)
    whole = (default_copy / name).read_bytes()
    flipped = [flip(whole, generator.randrange(8 * len(whole))) for _ in range(8)]
    cut = [whole[: generator.randrange(len(whole))] for _ in range(4)]
    for _ in variants_of(default_copy / name, iter([*flipped, *cut, whole + b"\0"])):
        readers.refuse(default_copy, name)


def _missing(file: Path) -> None:
    file.unlink()


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _link_to(target: str) -> Callable[[Path], None]:
    def link(file: Path) -> None:
        file.unlink()
        file.symlink_to(target)

    return link


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _exchanged(file: Path) -> None:
    other = file.with_name(CODE_POINTS_FILE if file.name != CODE_POINTS_FILE else VOCABULARY_FILE)
    content = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "replace",
    [_missing, _folder, _pipe, _empty, *map(_link_to, ["/dev/zero", "/etc/passwd", "nowhere", MANIFEST_FILE, "."])],
    ids=["missing", "folder", "pipe", "empty", "endless", "outside", "dangling", "another", "itself"],
)
@pytest.mark.parametrize("name", [MANIFEST_FILE, GOLDEN_FILE, WEIGHTS_FILE])
def test_what_is_no_file_of_the_bundle_is_refused_without_waiting(
    readers: BothReaders, copy: Path, name: str, replace: Callable[[Path], None]
) -> None:
    replace(copy / name)
    readers.refuse(copy, name)


@pytest.mark.parametrize("name", sorted(REQUIRED_FILES - {CODE_POINTS_FILE}))
def test_files_that_changed_places_are_refused(readers: BothReaders, copy: Path, name: str) -> None:
    _exchanged(copy / name)
    assert not readers.agree(copy)


def test_how_a_sound_file_comes_to_its_place_does_not_matter(readers: BothReaders, copy: Path, tiny: Path) -> None:
    # As volumes of configuration are mounted; and a file that the manifest does not list is never read.
    for name in ALL_FILES:
        _link_to(str(tiny / name))(copy / name)
    (copy / "notes.txt").write_text("nothing")
    assert readers.agree(copy)


@pytest.mark.parametrize("size", [1 << 30, (1 << 30) + 1, (1 << 63) - 1, 1 << 63, 1 << 64, -1])
def test_a_promised_size_costs_no_memory(readers: BothReaders, copy: Path, size: int) -> None:
    whole = (copy / WEIGHTS_FILE).stat().st_size
    rewrite_text(copy, f'"size_bytes": {whole}'.encode(), f'"size_bytes": {size}'.encode())
    readers.refuse(copy, WEIGHTS_FILE if 0 <= size <= 1 << 30 else MANIFEST_FILE)


@pytest.mark.parametrize(("old", "new"), MANIFEST_TEXTS, ids=lambda text: repr(text[:40]))
def test_a_manifest_that_readers_could_take_differently_is_refused(
    readers: BothReaders, copy: Path, old: bytes, new: bytes
) -> None:
    rewrite_text(copy, old, new)
    readers.refuse(copy, MANIFEST_FILE)


@pytest.mark.timeout(60, func_only=True)
@pytest.mark.parametrize(
    ("name", "limit_bytes"),
    [(MANIFEST_FILE, MANIFEST_LIMIT_BYTES), (PATTERNS_FILE, PATTERNS_LIMIT_BYTES), (GOLDEN_FILE, GOLDEN_LIMIT_BYTES)],
)
def test_a_string_that_nobody_ends_is_read_once(readers: BothReaders, copy: Path, name: str, limit_bytes: int) -> None:
    """A reader that looks for its end again from each quotation mark within takes minutes, of a golden case an hour."""
    content = b'"' + b'\\"' * (limit_bytes // 2 - 1) + b"\n"
    if name == MANIFEST_FILE:
        (copy / name).write_bytes(content)
    else:
        rewrite(copy, {name: content})
    readers.refuse(copy, name)


@pytest.mark.parametrize(("old", "new"), NEUTRAL_TEXTS, ids=lambda text: repr(text[:40]))
def test_a_manifest_that_says_the_same_in_other_words_is_taken(
    readers: BothReaders, copy: Path, old: bytes, new: bytes
) -> None:
    content = (copy / MANIFEST_FILE).read_bytes()
    rewrite_text(copy, old, new)
    assert (copy / MANIFEST_FILE).read_bytes() != content
    assert readers.agree(copy)


def _safetensors(header: bytes) -> Callable[[bytes], bytes]:
    """Another header before the same data, its end filled up with spaces as the writer does it."""

    def replaced(content: bytes) -> bytes:
        size = struct.unpack("<Q", content[:8])[0]
        return struct.pack("<Q", len(header)) + header + content[8 + size :]

    return replaced


def _in_header(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def replaced(content: bytes) -> bytes:
        size = struct.unpack("<Q", content[:8])[0]
        assert old in content[8 : 8 + size]
        return _safetensors(content[8 : 8 + size].replace(old, new, 1))(content)

    return replaced


def _in_file(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def replaced(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return replaced


def _repeated(patterns: tuple[Pattern, ...], times: int) -> Callable[[bytes], bytes]:
    return lambda _: msgspec.json.encode({"patterns": patterns * times, "entities": {"amp": "&"}})


SIGNED: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    (PATTERNS_FILE, lambda _: b"{}"),
    (PATTERNS_FILE, lambda _: b'{"patterns":[]}'),
    (PATTERNS_FILE, lambda _: b'{"patterns":[],"entities":{"a":"b","a":"b"}}'),
    (PATTERNS_FILE, lambda _: b'{"patterns":[],"entities":{"a":"bc"}}'),
    (PATTERNS_FILE, lambda _: b"[" * 100_000),
    (PATTERNS_FILE, _repeated(PATTERNS[:1], times=2)),
    (PATTERNS_FILE, _repeated(PATTERNS, times=PATTERNS_LIMIT_BYTES // 2000)),
    (GOLDEN_FILE, lambda content: b"\n" + content),
    (GOLDEN_FILE, lambda content: content + b"\n"),
    (GOLDEN_FILE, lambda content: content.replace(b"\n", b"")),
    (GOLDEN_FILE, _in_file(b'"ids":[1', b'"ids":[4294967297')),
    (GOLDEN_FILE, _in_file(b'"ids":[1', b'"ids":[-1')),
    (GOLDEN_FILE, _in_file(b'"logits":[', b'"logits":[],"logits":[')),
    (GOLDEN_FILE, _in_file(b'"logits":[', b'"logits":[NaN,')),
    (WEIGHTS_FILE, _in_header(b'"F16"', b'"BF16"')),
    (WEIGHTS_FILE, _in_header(b'"F16"', b'"F8_E4M3"')),
    (WEIGHTS_FILE, _in_header(b'"F16"', b'"I16"')),
    (WEIGHTS_FILE, _in_header(b'"dtype"', b'"note":1,"dtype"')),
    (WEIGHTS_FILE, _in_header(b"{", b'{"__metadata__":3,')),
    (WEIGHTS_FILE, _in_header(b"{", b'{"__metadata__":null,')),
    (WEIGHTS_FILE, _in_header(b"{", b'{"__metadata__":{"a":3},')),
    (WEIGHTS_FILE, _in_header(b'"embedding_steps"', b'"linear"')),
    (WEIGHTS_FILE, _in_header(b'"shape":[2', b'"shape":[9223372036854775808')),
    (WEIGHTS_FILE, _in_header(b'"data_offsets":[0', b'"data_offsets":[-0')),
    (WEIGHTS_FILE, lambda content: b"\xff" * 8 + content[8:]),
    (WEIGHTS_FILE, lambda content: content + b"\0"),
    (WEIGHTS_FILE, _safetensors(b"{}")),
    (WEIGHTS_FILE, _safetensors(b"")),
    (WEIGHTS_FILE, _safetensors(b"[" * 100_000)),
)


@pytest.mark.parametrize(("name", "change"), SIGNED)
def test_a_file_that_readers_could_take_differently_is_refused_however_well_it_hashes(
    readers: BothReaders, copy: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    rewrite(copy, {name: change((copy / name).read_bytes())})
    readers.refuse(copy, name)


@pytest.mark.parametrize("name", PARSED_FILES)
def test_of_any_file_that_hashes_well_both_readers_say_the_same(readers: BothReaders, copy: Path, name: str) -> None:
    generator = random.Random(SEED)
    content = (copy / name).read_bytes()
    verdicts = set()
    for _ in range(int(os.environ.get("KUAIXUN_HOSTILE_FILES", "60"))):
        rewrite(copy, {name: mutated(content, generator)})
        verdicts.add(readers.agree(copy))
    assert False in verdicts


def mutated(content: bytes, generator: random.Random) -> bytes:
    """A byte changed, put in or left out, a piece doubled, or the end cut off."""
    place, end = sorted(generator.choices(range(len(content)), k=2))
    byte = bytes([generator.choice([generator.randrange(256), *b'\t\n "0-,[]{}\\'])])
    return generator.choice(
        [
            content[:place] + byte + content[place + 1 :],
            content[:place] + byte + content[place:],
            content[:place] + content[place + 1 :],
            content[:end] + content[place:],
            content[:place],
        ]
    )
