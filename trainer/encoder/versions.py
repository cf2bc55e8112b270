"""What the record of an encoder's training names: the versions that its figures were got with."""

from __future__ import annotations

import platform

import numpy as np
import torch

import kuaixun


def library_versions() -> dict[str, str]:
    """The versions of this package and of those that decide what a training comes to."""
    import tokenizers
    import transformers

    return {
        "kuaixun": kuaixun.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "numpy": np.__version__,
    }
