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
CONVERSION = "convert them once: AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"


def open_model(auto_class: Any, name: str, option: str, **settings: Any) -> Any:
    """The model that `auto_class` makes of a folder or hub name; `option` is named in a refusal.

    Raises SettingError where there is no such folder, it cannot be reached, or its weights are no safetensors.
    """
    is_folder = _expect_usable(name, option)
    quieten()
    try:
        return auto_class.from_pretrained(
            name, local_files_only=is_folder, use_safetensors=True, trust_remote_code=False, **settings
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise _refusal(name, option, error, is_folder=is_folder) from error


def open_tokenizer(name: str, option: str) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder or hub name. Raises SettingError, also where it has only a slow one."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    is_folder = _expect_usable(name, option)
    if is_folder and not any((Path(name) / file).is_file() for file in TOKENIZER_FILES):
        # The library would make an empty one, to which every text is unknown.
        raise SettingError(
            f"{option} {name}: no tokenizer beside the model; put its {' or '.join(TOKENIZER_FILES[:2])} there"
        )
    quieten()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=is_folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise _refusal(name, option, error, is_folder=is_folder) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise SettingError(
            f"{option} {name}: its tokenizer has no fast form; save it as tokenizer.json beside the model"
        )
    return tokenizer


def _expect_usable(name: str, option: str) -> bool:
    """Whether the name is a folder that holds a model; False for a hub name. Raises SettingError for neither."""
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise SettingError(f"{option} {name}: the folder holds no config.json, so no Hugging Face model")
        if not any(folder.glob("*.safetensors")):
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
            reason = "its weights are pickles, which can run any code" if pickled else "it holds no weights"
            raise SettingError(f"{option} {name}: {reason}; only safetensors are read" + f"; {CONVERSION}" * pickled)
        return True
    if folder.exists() or not HUB_NAME.fullmatch(name):
        raise SettingError(f"{option} {name}: no such folder; name the folder of a Hugging Face model")
    return False


def _refusal(name: str, option: str, error: Exception, *, is_folder: bool) -> SettingError:
    reason = str(error).strip().split("\n")[0]
    if is_folder:
        return SettingError(f"{option} {name}: cannot be opened: {reason}")
    return SettingError(f"{option} {name}: there is no such folder, and the Hugging Face hub gave nothing: {reason}")


def quieten() -> None:
    """The library's tables of fresh and unused weights, and its bars, are not this command's to print."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    hub_logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
