"""The manifest names its own content: any change shows in the id."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kuaixun.schemas.manifest import (
    Architecture,
    DataFile,
    FileEntry,
    Manifest,
    NgramBranch,
    Precision,
    PrecisionCost,
    PrecisionCosts,
    TextParameters,
    Training,
)

PRECISION = Precision(
    default="int8",
    costs=PrecisionCosts(
        bf16=PrecisionCost(accuracy_difference=0.0, label_agreement=1.0, largest_logit_difference=0.01),
        int8=PrecisionCost(accuracy_difference=-0.0002, label_agreement=0.9994, largest_logit_difference=0.1),
    ),
)
MANIFEST = Manifest(
    model_id="",
    created_at="2026-01-02T03:04:05Z",
    labels=("财经", "体育"),
    text=TextParameters(),
    architecture=Architecture(vocabulary_size=100, ngrams=NgramBranch()),
    temperature=1.25,
    precision=PRECISION,
    metrics={"test": {"accuracy": 0.928}},
    training=Training(
        command="kuaixun-trainer run",
        seed=1,
        versions={"torch": "2.13.0"},
        data=(DataFile(role="test", name="test.txt", rows=10_000, sha256="a" * 64),),
    ),
    files={"student.pt": FileEntry(size_bytes=5, sha256="b" * 64)},
)


def test_a_manifest_without_label_counts_is_as_it_was_before_there_were_any() -> None:
    assert b"label_counts" not in msgspec.json.encode(MANIFEST)
    counted = msgspec.structs.replace(MANIFEST.training, label_counts={"a": 3, "b": 0})
    telling = msgspec.structs.replace(MANIFEST, training=counted)
    assert msgspec.json.decode(msgspec.json.encode(telling), type=Manifest) == telling
    assert telling.content_id() != MANIFEST.content_id()


def test_written_manifest_is_read_back_the_same() -> None:
    assert msgspec.json.decode(msgspec.json.encode(MANIFEST), type=Manifest) == MANIFEST


def test_content_id_does_not_depend_on_the_id_written_nor_on_the_order_of_names() -> None:
    signed = msgspec.structs.replace(MANIFEST, model_id=MANIFEST.content_id())
    assert signed.content_id() == MANIFEST.content_id()
    reordered = msgspec.structs.replace(MANIFEST, metrics={"test": {"f1": 0.9, "accuracy": 0.8}})
    same = msgspec.structs.replace(MANIFEST, metrics={"test": {"accuracy": 0.8, "f1": 0.9}})
    assert reordered.content_id() == same.content_id()


@pytest.mark.parametrize("field", [field for field in Manifest.__struct_fields__ if field != "model_id"])
def test_content_id_covers_every_field(field: str) -> None:
    changed: dict[str, Any] = {
        "format_version": 4,
        "created_at": "",
        "labels": ("体育", "财经"),
        "text": TextParameters(max_tokens=31),
        "architecture": Architecture(vocabulary_size=101, ngrams=NgramBranch()),
        "temperature": 1.5,
        "precision": msgspec.structs.replace(PRECISION, default="bf16"),
        "metrics": {},
        "training": msgspec.structs.replace(MANIFEST.training, seed=2),
        "files": {"student.pt": FileEntry(size_bytes=5, sha256="c" * 64)},
    }
    assert msgspec.structs.replace(MANIFEST, **{field: changed[field]}).content_id() != MANIFEST.content_id()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("labels",), ["only one"]),
        (("labels",), ["财经", ""]),
        (("temperature",), 0.0),
        (("temperature",), 1e-310),
        (("temperature",), 100.1),
        (("precision", "default"), "int4"),
        (("precision", "costs"), {}),
        (("precision", "costs", "int8", "accuracy_difference"), 1.5),
        (("precision", "costs", "int8", "label_agreement"), 99.9),
        (("precision", "costs", "bf16", "largest_logit_difference"), -0.1),
        (("text", "max_tokens"), 0),
        (("text", "append_cls"), None),
        (("architecture", "widths"), [2, 17]),
        (("architecture", "widths"), [3, 2]),
        (("architecture", "widths"), []),
        (("architecture", "ngrams", "orders"), [0, 1]),
        (("architecture", "ngrams", "orders"), [2, 2]),
        (("architecture", "ngrams", "orders"), [3, 2]),
        (("architecture", "ngrams", "orders"), []),
        (("files", "student.pt", "sha256"), "B" * 64),
        (("unheard_of",), 1),
    ],
)
def test_manifest_out_of_range_is_refused_by_field(path: tuple[str, ...], value: object) -> None:
    tree: Any = msgspec.to_builtins(MANIFEST)
    holder = tree
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(tree, Manifest)


def test_a_student_that_folds_to_more_than_can_be_served_is_refused() -> None:
    # 10 * 64 float32 for each character, padding and all; 12 bytes for a weight of the last layer.
    served = Architecture(vocabulary_size=209_000, embedding_size=1, widths=(1, 2, 3, 4), filters=1)
    assert served.folded_bytes(3) == 209_000 * (2560 + 4) + 640 * 8 + 4 * 256 * 12
    with pytest.raises(ValueError, match="fold to 538457408 bytes; at most 536870912"):
        msgspec.structs.replace(served, vocabulary_size=210_000)


@pytest.mark.parametrize(
    ("vocabulary_size", "filters"),
    [(30_840, 1), (100_000, 8)],
    ids=["a gibibyte from a bundle of two megabytes", "more than the C++ runtime served"],
)
def test_padding_counts(vocabulary_size: int, filters: int) -> None:
    with pytest.raises(ValueError, match="fold to"):
        Architecture(vocabulary_size=vocabulary_size, embedding_size=1, widths=tuple(range(1, 17)), filters=filters)


def test_labels_count_in_a_manifest() -> None:
    architecture = Architecture(vocabulary_size=1000, ngrams=NgramBranch(bucket_bits=22))
    assert msgspec.structs.replace(MANIFEST, architecture=architecture).architecture == architecture
    with pytest.raises(ValueError, match="4194304 buckets of n-grams and 113 labels fold to"):
        msgspec.structs.replace(
            MANIFEST, architecture=architecture, labels=tuple(f"label {number}" for number in range(113))
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TextParameters(max_tokens=32), "32 characters after cleaning"),
        (TextParameters(max_tokens=32, append_cls=True), "32 characters after cleaning, marked where it ends"),
        (
            TextParameters(max_tokens=32, prepend_cls=True, append_cls=True),
            "31 characters after cleaning, marked where it begins and ends",
        ),
    ],
)
def test_what_is_read_of_a_text_is_told(text: TextParameters, told: str) -> None:
    assert text.read == told
