"""The GPU that is measured on."""

from __future__ import annotations


def gpu_name() -> str:
    """Of the first that torch can use; empty where there is none. Imports torch, which takes seconds."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
