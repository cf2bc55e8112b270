"""Plugins of accelerate that split a model's weights among processes, which a fine-tuning here cannot have."""

from __future__ import annotations

import os

from kuaixun.trainer.errors import SettingError

# By what `accelerate launch` sets to choose each.
PLUGINS = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


def refuse_sharding() -> None:
    """Raise SettingError where accelerate would split the weights: of the best, a part alone would be kept."""
    for variable, plugin in PLUGINS.items():
        if os.environ.get(variable, "false").lower() in ("1", "true", "yes"):
            raise SettingError(
                f"{variable} asks accelerate for {plugin}, which splits the weights among processes; use data "
                "parallelism: plain torchrun, or accelerate launch --multi_gpu"
            )
