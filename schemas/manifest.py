"""The bundle's manifest: everything about a model but its numbers. `model_id` is a hash over all of it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

FORMAT_VERSION = 3
MODEL_ID_DIGITS = 16
FOLDED_LIMIT_BYTES = 512 << 20
LABEL_LIMIT_CHARACTERS = 200
LABELS_LIMIT = 10_000
LABELS_LIMIT_BYTES = 1 << 18  # of all labels together, in UTF-8: a manifest has two of each
# What filters, labels and the labels of an n-gram's row are padded to where the C++ runtime holds them, so that its
# loops have no remainders: export/cpp/src/student_kernel.h.
_FILTER_PADDING = 64
_CLASS_PADDING = 4
_NGRAM_PADDING = 16

Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Label: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=LABEL_LIMIT_CHARACTERS)]
# Far wider than any calibration, and narrow enough that dividing a logit by it never overflows.
Temperature: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=100.0)]

PrecisionName: TypeAlias = Literal["fp32", "bf16", "int8"]


class TextParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a raw text becomes token ids; the tables themselves are files of the bundle.

    Only the first `max_raw_chars` code points of a text are read at all, which bounds the cost of hostile input.
    `prepend_cls` and `append_cls` mark where a text begins and ends with the same token; a text that fills `max_tokens`
    has no mark at its end. A manifest without `append_cls` keeps its id, hence it is left unset rather than false.
    """

    max_raw_chars: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 2048
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 32
    prepend_cls: bool = False
    append_cls: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def marks(self) -> int:
        """How many tokens a text has that are not characters of it."""
        return int(self.prepend_cls) + int(bool(self.append_cls))

    @property
    def characters(self) -> int:
        """How many characters of a text count, at most."""
        return self.max_tokens - int(self.prepend_cls)

    @property
    def read(self) -> str:
        """In words: how much of a text counts, and where it is marked."""
        ends = [end for end, is_marked in (("begins", self.prepend_cls), ("ends", self.append_cls)) if is_marked]
        marked = f", marked where it {' and '.join(ends)}" if ends else ""
        return f"{self.characters} characters after cleaning{marked}"


class NgramBranch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hashed n-grams of token ids: each bucket belongs to one n-gram and holds its row of class scores."""

    orders: tuple[Annotated[int, msgspec.Meta(ge=1, le=3)], ...] = (2, 3)
    bucket_bits: Annotated[int, msgspec.Meta(ge=1, le=24)] = 17
    size: Positive = 32

    def __post_init__(self) -> None:
        _expect_ascending("orders", self.orders)


class Architecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shape of a TextCNN: all that is needed to build one and load its weights.

    Raises ValueError for a shape that cannot be served, however few labels it has.
    """

    vocabulary_size: Annotated[int, msgspec.Meta(ge=4, le=1 << 20)]
    embedding_size: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 200
    widths: tuple[Annotated[int, msgspec.Meta(ge=1, le=16)], ...] = (2, 3, 4)
    filters: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)] = 256
    ngrams: NgramBranch | None = None

    def __post_init__(self) -> None:
        _expect_ascending("widths", self.widths)
        self.expect_servable(classes=2)

    def folded_bytes(self, classes: int) -> int:
        """The most that the C++ runtime takes while it folds the student in fp32, all padding included.

        A hostile bundle is small and names a shape that is large: so what counts is what comes of it in memory.
        """
        filters = _round_up(self.filters, _FILTER_PADDING)
        row = sum(self.widths) * filters  # of a character: all places of all windows
        rows = self.vocabulary_size * row * 4
        embedding = self.vocabulary_size * self.embedding_size * 4
        convolutions = self.embedding_size * row * 8
        # Held twice: in the precision that sums are taken in, and in that of the tables.
        linear = _round_up(classes, _CLASS_PADDING) * len(self.widths) * filters * (8 + 4)
        ngrams = 0
        if self.ngrams is not None:
            ngrams = (_round_up(classes, _NGRAM_PADDING) + 2) << self.ngrams.bucket_bits  # steps and an owner
        return rows + embedding + convolutions + linear + ngrams

    def expect_servable(self, classes: int) -> None:
        """Raise ValueError where, with so many labels, that is more than can be served."""
        if (folded_bytes := self.folded_bytes(classes)) > FOLDED_LIMIT_BYTES:
            buckets = f", {1 << self.ngrams.bucket_bits} buckets of n-grams" if self.ngrams else ""
            raise ValueError(
                f"{self.vocabulary_size} characters, {self.filters} filters of each width {self.widths}{buckets} and "
                f"{classes} labels fold to {folded_bytes} bytes; at most {FOLDED_LIMIT_BYTES} can be served"
            )


class PrecisionCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What rounded tables cost against fp32, measured on the dev texts when the student was made.

    `accuracy_difference` is negative where rounding makes it worse; `label_agreement` is the share of texts that keep
    their label; `largest_logit_difference` is the largest over all dev texts and classes: other texts may show more.
    """

    accuracy_difference: Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]
    label_agreement: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    largest_logit_difference: Annotated[float, msgspec.Meta(ge=0.0)]


class PrecisionCosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cost of every precision but fp32, which is what the others are measured against."""

    bf16: PrecisionCost
    int8: PrecisionCost

    def by_name(self) -> dict[PrecisionName, PrecisionCost]:
        """The costs by precision, the finer one first."""
        return {"bf16": self.bf16, "int8": self.int8}


class Precision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the native engine holds its tables where nobody chooses, and what each way costs."""

    default: PrecisionName
    costs: PrecisionCosts


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the model was trained, chosen or measured on."""

    role: str
    name: str
    rows: int
    sha256: Sha256


class Training(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How to make the model again: the command, the seed, the versions, the data.

    `label_counts` says how many training texts had each label, for whoever compares a stream with them; nothing where
    that is not known. It is left out then, so that bundles from before there was any keep their id.
    """

    command: str
    seed: int
    versions: dict[str, str]
    data: tuple[DataFile, ...]
    label_counts: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of the bundle must be."""

    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole manifest. `metrics` maps a data role to named figures, as measured on the weights in the bundle.

    Raises ValueError for a student that is too large to serve with so many labels.
    """

    format_version: int = FORMAT_VERSION
    model_id: str
    created_at: str
    labels: Annotated[tuple[Label, ...], msgspec.Meta(min_length=2)]
    text: TextParameters
    architecture: Architecture
    temperature: Temperature
    precision: Precision
    metrics: dict[str, dict[str, float]]
    training: Training
    files: dict[str, FileEntry]

    def __post_init__(self) -> None:
        self.architecture.expect_servable(len(self.labels))

    def content_id(self) -> str:
        """The id that this manifest must bear: SHA-256 over its canonical JSON with the id left empty, cut short.

        Every event carries it, hence 64 bits: enough to tell models apart and to notice an accident. Whether the
        maker is to be trusted is not for a hash to say.
        """
        tree: Any = msgspec.to_builtins(msgspec.structs.replace(self, model_id=""))
        return hashlib.sha256(msgspec.json.encode(tree, order="sorted")).hexdigest()[:MODEL_ID_DIGITS]


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _expect_ascending(name: str, numbers: tuple[int, ...]) -> None:
    """Raise ValueError where there is no number, or the numbers do not rise."""
    if not numbers or sorted(set(numbers)) != list(numbers):
        raise ValueError(f"{name} {numbers} must be distinct and ascending, and at least one")
