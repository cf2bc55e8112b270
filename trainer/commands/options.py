"""Options that several commands share."""

from __future__ import annotations

import argparse

import torch

from kuaixun.export.command_line import path_of
from kuaixun.trainer.commands.values import score_request, share_of_file, whole_number
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings, read_embeddings
from kuaixun.trainer.data.labelled_texts import CsvColumns
from kuaixun.trainer.errors import SettingError

# A parser, or a group of its options.
Options = argparse._ActionsContainer


def add_split(options: Options, dev: str, *, required: bool = True) -> None:
    """The files of a split and the class names; `dev` says what that file is for."""
    files = (("train", "texts to learn from"), ("dev", dev), ("test", "texts to measure on, once, at the end"))
    for role, says in files:
        needed = required and role != "test"
        options.add_argument(f"--{role}", type=path_of, required=needed, metavar="FILE", help=says)
    add_classes(options)


def add_classes(options: Options) -> None:
    """The class names."""
    says = "class names, one a line, in the order of their ids"
    options.add_argument("--classes", type=path_of, metavar="FILE", help=says)


def add_texts(options: Options, share: str) -> None:
    """Files of texts without labels; `share` says what SHARE of one is."""
    options.add_argument(
        "--texts",
        type=share_of_file,
        action="append",
        required=True,
        metavar="FILE[=SHARE]",
        help=f"texts, one a line or a CSV table's, plain, .xz or .gz, labels ignored; SHARE of it is {share} (default: "
        "1); give the option several times for several files",
    )
    options.add_argument(
        "--text-column", default="text", metavar="NAME", help="column of the texts in CSV tables (default: text)"
    )


def add_score(options: Options, whose: str) -> None:
    """Files to score; `whose` scores says the help."""
    options.add_argument(
        "--score",
        type=score_request,
        action="append",
        default=[],
        metavar="FILE=OUT",
        help=f"write {whose} of FILE's rows, labelled or not, as the new file OUT; may be given several times",
    )


def add_embeddings(options: Options) -> None:
    """Pretrained character embeddings."""
    options.add_argument("--embeddings", type=path_of, metavar="NPZ", help="pretrained character embeddings")
    options.add_argument("--embedding-vocabulary", type=path_of, metavar="JSON", help="their characters and rows")


def embeddings_of(options: argparse.Namespace) -> CharacterEmbeddings | None:
    """What `add_embeddings` named, read. Raises SettingError where one file is missing, EmbeddingError."""
    if (options.embeddings is None) != (options.embedding_vocabulary is None):
        raise SettingError("--embeddings and --embedding-vocabulary need each other; pass both or neither")
    return read_embeddings(options.embeddings, options.embedding_vocabulary) if options.embeddings else None


def add_device(options: Options) -> None:
    """Where to compute."""
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")


def add_threads(options: Options) -> None:
    """On how many processor threads."""
    says = "processor threads (default: torch's)"
    options.add_argument("--threads", type=whole_number(1, 1024), metavar="N", help=says)


def choose_device(name: str) -> torch.device:
    """The device for auto, cpu or cuda. Raises SettingError for a GPU that is not there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise SettingError("--device cuda: torch finds no usable GPU here; pass --device cpu, or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The columns of CSV files."""
    group = parser.add_argument_group("CSV files (told by their suffix; all others hold text<TAB>label lines)")
    group.add_argument("--text-column", default="text", metavar="NAME", help="column of the texts (default: text)")
    group.add_argument("--label-column", default="label", metavar="NAME", help="column of the labels (default: label)")


def columns_of(options: argparse.Namespace) -> CsvColumns:
    """What `add_columns` read."""
    return CsvColumns(text=options.text_column, label=options.label_column)
