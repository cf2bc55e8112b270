"""The options of a student's shape and training: a configuration, and flags that stand above it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec

from kuaixun.export.command_line import path_of
from kuaixun.schemas.manifest import NgramBranch
from kuaixun.trainer.commands.options import add_device, add_threads
from kuaixun.trainer.commands.values import bits_or_none, number_list, whole_number
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.settings import FIT_DEFAULTS, FIT_NAMES
from kuaixun.trainer.number_ranges import flag_of
from kuaixun.trainer.student.configuration import DEFAULT, Configuration, read_configuration, shipped_configurations
from kuaixun.trainer.student.new_student import HIGHEST_WIDTH, StudentShape

SHAPE = StudentShape()
SHAPE_NAMES = tuple(field.name for field in fields(StudentShape) if field.name != "ngrams")
# Flags that change nothing without a teacher, without a transfer set, and without a training.
TEACHER_FLAGS = ("alpha", "temperature", "final_temperature")
TRANSFER_FLAGS = ("transfer_rows", "count_transfer_ngrams", "count_transfer_characters")
SHAPE_FLAGS = (*SHAPE_NAMES, "ngram_bits", "ngram_orders", "ngram_size")
STUDENT_FLAGS = (*SHAPE_FLAGS, *FIT_NAMES)


def add_student(parser: argparse.ArgumentParser) -> None:
    """The configuration, and every flag that overrides it."""
    parser.add_argument(
        "--configuration",
        type=_configuration,
        default=DEFAULT,
        metavar="NAME|FILE",
        help=f"{', '.join(shipped_configurations())}, or a TOML file; flags override it (default: {DEFAULT})",
    )
    # A flag that was not given leaves no trace, so that the configuration's value stands.
    _add_shape(parser.add_argument_group("the student (shown are the defaults of the default configuration)"))
    _add_fit(parser.add_argument_group("the training"))


def student_of(options: argparse.Namespace) -> Configuration:
    """What `add_student` read: the configuration under the flags that were given. Raises SettingError."""
    configuration = read_configuration(str(options.configuration))
    given = vars(options)
    shape = {name: given[name] for name in SHAPE_NAMES if name in given}
    fit = {name: given[name] for name in named_fit(options)}
    if shape.get("keyword_filters") and "ngram_size" in given:
        raise SettingError("--ngram-size: beside detectors of words n-grams bring class scores, and have no size")
    return replace(
        configuration,
        shape=replace(configuration.shape, ngrams=_ngrams(given, configuration.shape.ngrams), **shape),
        fit=replace(configuration.fit, **fit),
    )


def names_shape(options: argparse.Namespace) -> bool:
    """Whether the student's shape was chosen, by a configuration or by a flag of it."""
    return options.configuration != DEFAULT or any(name in vars(options) for name in SHAPE_FLAGS)


def named_fit(options: argparse.Namespace) -> tuple[str, ...]:
    """Which settings of the training were given as flags."""
    return tuple(name for name in FIT_NAMES if name in vars(options))


def refuse_idle(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Raise SettingError for one of these flags of `add_student`, if it was given: it would change nothing."""
    for name in names:
        if name in vars(options):
            raise SettingError(f"{flag_of(name)} changes nothing {why}; leave it away")


def _configuration(text: str) -> str | Path:
    """A name stays a name; a file becomes a path, whose folder the training record leaves away."""
    return text if text in shipped_configurations() else path_of(text)


def _ngrams(given: dict[str, Any], branch: NgramBranch | None) -> NgramBranch | None:
    """The branch of the configuration with what the flags say of it: `--ngram-bits` adds or removes one."""
    if "ngram_bits" in given:
        bits = given["ngram_bits"]
        branch = None if bits is None else msgspec.structs.replace(branch or NgramBranch(), bucket_bits=bits)
    changes = {name: given[f"ngram_{name}"] for name in ("orders", "size") if f"ngram_{name}" in given}
    if branch is None and changes:
        raise SettingError(f"--ngram-{next(iter(changes))}: this student has no n-grams; --ngram-bits N gives it some")
    return None if branch is None else msgspec.structs.replace(branch, **changes)


def _add_shape(group: argparse._ArgumentGroup) -> None:
    ngrams = NgramBranch()

    def add(flag: str, default: object, says: str, **more: Any) -> None:
        group.add_argument(flag, default=argparse.SUPPRESS, help=f"{says} (default: {default})", **more)

    def number(flag: str, default: int, says: str) -> None:
        add(flag, default, says, type=int, metavar="N")

    def switch(flag: str, says: str) -> None:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=says)

    add("--widths", "2,3,4", "convolution widths", type=number_list(1, HIGHEST_WIDTH), metavar="N,N,…")
    number("--filters", SHAPE.filters, "filters of each width")
    number("--embedding-size", SHAPE.embedding_size, "length of a character's vector")
    bits = "2^N buckets of hashed n-grams, or none"
    add("--ngram-bits", ngrams.bucket_bits, bits, type=bits_or_none, metavar="N|none")
    add("--ngram-orders", "2,3", "characters of an n-gram", type=number_list(1, 3), metavar="N,N,…")
    size = "length of a bucket's vector in training"
    add("--ngram-size", ngrams.size, size, type=whole_number(1, 4096), metavar="N")
    number("--ngram-minimum-frequency", SHAPE.ngram_minimum_frequency, "rarer n-grams own no bucket")
    switch("--count-transfer-ngrams", "n-grams of the transfer set count too when buckets are given away")
    number("--max-tokens", SHAPE.max_tokens, "characters of a text that count, the token of --prepend-cls among them")
    switch(
        "--keyword-filters",
        "the widest filters begin, and stay, as detectors of the words that tell classes apart; "
        "of a text's first word too with --prepend-cls, and of its last word's end with --append-cls",
    )
    switch("--prepend-cls", "begin every text with a token of its own")
    switch("--append-cls", "end every text with that token, where it is shorter than --max-tokens")
    switch("--drop-latin", "drop the letters a to z in all their forms")
    number("--vocabulary-size", SHAPE.vocabulary_size, "characters at most, three specials included")
    number("--minimum-frequency", SHAPE.minimum_frequency, "rarer characters are unknown ones")
    switch("--count-transfer-characters", "characters of the transfer set count too for the vocabulary")


def _add_fit(group: argparse._ArgumentGroup) -> None:
    def number(flag: str, kind: type[int | float], says: str, without: str = "") -> None:
        default: Any = getattr(FIT_DEFAULTS, flag.removeprefix("--").replace("-", "_"))
        shown = without if default is None else default
        group.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar="N", help=f"{says} (default: {shown})")

    number("--epochs", int, "passes over the training texts")
    number("--batch-size", int, "texts in a step")
    number("--learning-rate", float, "of AdamW, at its highest")
    number("--ngram-learning-rate", float, "of the n-gram table's Adam, at its highest")
    number("--weight-decay", float, "of AdamW")
    number("--dropout", float, "share of pooled features dropped")
    number("--branch-loss", float, "weight of the losses of convolutions and of n-grams alone")
    number("--warm-up", float, "share of the steps in which the learning rate rises")
    number("--label-smoothing", float, "share of each label spread over all classes; teachers' words stay as they are")
    number("--alpha", float, "weight of the teachers against the labels, where there are teachers")
    number("--temperature", float, "at which teachers and student are compared")
    number("--final-temperature", float, "to which it falls, epoch by epoch", "it stays")
    number("--transfer-rows", int, "texts of the transfer set in an epoch", "all")
    number("--evaluate-every-steps", int, "steps between looks at dev")
    number("--patience", int, "looks at dev without a lower loss before the training ends")
    number("--seed", int, "of every random choice")
    group.add_argument(
        "--mixed-precision",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help="train in bfloat16: faster on GPUs and on processors with AMX, slower on others",
    )
    add_device(group)
    add_threads(group)
