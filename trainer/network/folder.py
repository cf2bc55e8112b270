"""A finished network as a folder.

network.json          labels, shape, settings, figures, how it was trained
characters.txt        one a line, in the order of their ids; words.txt likewise
weights.safetensors   the network's state
history.jsonl         every look at dev
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from kuaixun.export.new_folder import write_folder
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.history import HISTORY_FILE, history_to_file
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.network.lexicon import Lexicon
from kuaixun.trainer.network.word_network import NetworkShape, WordNetwork
from kuaixun.trainer.scores.taught import TaughtRecord, read_taught, taught_to_file

RECORD_FILE = "network.json"
CHARACTERS_FILE = "characters.txt"
WORDS_FILE = "words.txt"
WEIGHTS_FILE = "weights.safetensors"


class NetworkRecord(TaughtRecord, frozen=True, kw_only=True):
    """Everything about a network but its numbers."""

    shape: NetworkShape
    settings: FitSettings
    word_learning_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network, what it reads, and its record."""

    module: WordNetwork
    lexicon: Lexicon
    record: NetworkRecord


def write_network(folder: Path, network: Network, history: Sequence[DevFigures]) -> None:
    """Write a new folder, whole or not at all. Raises OSError, FileExistsError."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.module.state_dict().items()}
    write_folder(
        folder,
        {
            RECORD_FILE: taught_to_file(network.record),
            CHARACTERS_FILE: _lines(network.lexicon.characters),
            WORDS_FILE: _lines(network.lexicon.words),
            WEIGHTS_FILE: safetensors.torch.save(state),
            HISTORY_FILE: history_to_file(history),
        },
    )


def read_record(folder: Path) -> NetworkRecord:
    """The record of a network's folder. Raises SettingError for a folder that is no network."""
    return read_taught(folder / RECORD_FILE, NetworkRecord, "network")


def read_network(folder: Path) -> Network:
    """Read what `write_network` wrote. Raises SettingError naming what does not fit."""
    record = read_record(folder)
    try:
        characters, words = (_names(folder / name) for name in (CHARACTERS_FILE, WORDS_FILE))
        state = safetensors.torch.load((folder / WEIGHTS_FILE).read_bytes())
        lexicon = Lexicon(characters, words, record.shape.max_tokens)
        word_size = state["words.weight"].shape[-1] if state["words.weight"].ndim == 2 else 0
        with torch.device("meta"):  # a shape takes no memory: the record may ask for more than there is
            module = new_network(record.shape, lexicon, word_size, len(record.labels), dropout=0.0)
        _expect_shapes(state, module.state_dict())
        module.to_empty(device="cpu").load_state_dict(state)
    except OSError as error:
        raise SettingError(f"--teacher: {folder} is no network: {error.strerror}: {error.filename}") from None
    except (
        safetensors.SafetensorError,
        SettingError,
        KeyError,
        RuntimeError,
        ValueError,
    ) as error:
        reason = str(error).split("\n")[0]
        raise SettingError(f"--teacher: the network {folder} does not fit together: {reason}") from None
    module.train(False)
    return Network(module, lexicon, record)


def new_network(shape: NetworkShape, lexicon: Lexicon, word_size: int, classes: int, *, dropout: float) -> WordNetwork:
    """A network with random weights, drawn from torch's generator, of the lexicon's size."""
    return WordNetwork(shape, len(lexicon.characters) + 2, len(lexicon.words) + 1, word_size, classes, dropout)


def _expect_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise ValueError for weights that are not of these names and shapes."""
    for name in sorted(found.keys() | wanted.keys()):
        shapes = [tuple(state[name].shape) if name in state else "missing" for state in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} is {shapes[0]} in {WEIGHTS_FILE}, {shapes[1]} by {RECORD_FILE}")


def _lines(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _names(path: Path) -> tuple[str, ...]:
    return tuple(path.read_bytes().decode().removesuffix("\n").split("\n"))
