"""Opening pretrained models, from a local folder or, where a name of the Hugging Face hub is given, from there.

Weights are read from safetensors alone and code from nowhere: a pickle, or a model that brings its own code, could run
anything. A folder is never looked up on the hub, and what is no folder only where it can be a name there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuaixun.trainer.errors import SettingError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*(/[\w.\-]+)?")
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
WEIGHTS_FILE = "model.safetensors"
CONVERSION = "convert them once: AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"


def open_model(auto_class: Any, name: str, option: str, **settings: Any) -> Any:
    """The model that `auto_class` makes of a folder or hub name; `option` is named in a refusal.

    Raises SettingError where there is no such folder, it cannot be reached, or its weights are damaged or no
    safetensors.
    """
    is_folder = _expect_usable(name, option)
    weights = WEIGHTS_FILE if (Path(name) / WEIGHTS_FILE).is_file() else "*.safetensors"
    files = f"{weights}, as config.json describes it,"
    return _open(auto_class, name, option, files, local_files_only=is_folder, use_safetensors=True, **settings)


def open_tokenizer(name: str, option: str) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder or hub name. Raises SettingError, also where it is damaged or has no fast form."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    is_folder = _expect_usable(name, option)
    files = [file for file in TOKENIZER_FILES if (Path(name) / file).is_file()]
    if is_folder and not files:
        # The library would make an empty one, to which every text is unknown.
        raise SettingError(
            f"{option} {name}: no tokenizer beside the model; put its {' or '.join(TOKENIZER_FILES[:2])} there"
        )
    tokenizer = _open(
        AutoTokenizer, name, option, " or ".join([*files, "tokenizer_config.json"]), local_files_only=is_folder
    )
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise SettingError(
            f"{option} {name}: its tokenizer has no fast form; save it as tokenizer.json beside the model"
        )
    return tokenizer


def _expect_usable(name: str, option: str) -> bool:
    """Whether the name is a folder that holds a model; False for a hub name. Raises SettingError for neither, and for a
    folder whose config.json is damaged.
    """
    from transformers import AutoConfig

    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise SettingError(f"{option} {name}: the folder holds no config.json, so no Hugging Face model")
        if not any(folder.glob("*.safetensors")):
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
            reason = "its weights are pickles, which can run any code" if pickled else "it holds no weights"
            raise SettingError(f"{option} {name}: {reason}; only safetensors are read" + f"; {CONVERSION}" * pickled)
        _open(AutoConfig, name, option, "config.json", local_files_only=True)
        return True
    if folder.exists() or not HUB_NAME.fullmatch(name):
        raise SettingError(f"{option} {name}: no such folder; name the folder of a Hugging Face model")
    return False


def _open(auto_class: Any, name: str, option: str, files: str, *, local_files_only: bool, **settings: Any) -> Any:
    """What `auto_class` makes of these files of a folder, or of a hub name. Raises SettingError.

    Damaged files make the library raise whatever they meet, bare exceptions of its Rust parts among them.
    """
    quieten()
    try:
        return auto_class.from_pretrained(name, local_files_only=local_files_only, trust_remote_code=False, **settings)
    except Exception as error:
        lines = str(error).strip().split("\n")
        reason = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
        if not isinstance(error, OSError | ValueError | RuntimeError | ImportError):
            reason = f"{type(error).__name__}: {reason}"
        if local_files_only:
            raise SettingError(
                f"{option} {name}: {files} cannot be opened: {reason}; if it is damaged, copy the folder anew"
            ) from error
        raise SettingError(
            f"{option} {name}: there is no such folder, and the Hugging Face hub gave nothing: {reason}"
        ) from error


def quieten() -> None:
    """The library's tables of fresh and unused weights, and its bars, are not this command's to print."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    hub_logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
