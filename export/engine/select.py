"""Choosing and opening an engine. None serves before it has passed the bundle's golden cases."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from kuaixun.export.bundle.golden import check_golden
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine.interface import Engine
from kuaixun.export.errors import EngineError

DEVICES = ("auto", "cpu", "cuda")


def _torchscript(bundle: Bundle, device: str, threads: int | None) -> Engine:
    from kuaixun.export.engine.torchscript import open_folded

    return open_folded(bundle, device, threads)


def _torchscript_convolutional(bundle: Bundle, device: str, threads: int | None) -> Engine:
    from kuaixun.export.engine.torchscript import open_convolutional

    return open_convolutional(bundle, device, threads)


# By the name that settings and command lines use, best first. torch is imported when an engine that needs it opens.
_OPENERS: dict[str, Callable[[Bundle, str, int | None], Engine]] = {
    "torchscript": _torchscript,
    "torchscript-convolutional": _torchscript_convolutional,
}
ENGINES = tuple(_OPENERS)


def open_engine(bundle: Bundle, name: str = "auto", *, device: str = "auto", threads: int | None = None) -> Engine:
    """Open an engine on a bundle and check it against the golden cases.

    `device` is auto, cpu or cuda; `threads` bounds the CPU threads (None leaves the library's own choice). Raises
    EngineError where the engine cannot run here, GoldenCaseError where it gives other answers.
    """
    if device not in DEVICES:
        raise EngineError(f"the device {device!r} is unknown; choose one of {', '.join(DEVICES)}")
    if name == "auto":
        name = ENGINES[0]
    if name not in _OPENERS:
        raise EngineError(f"the engine {name!r} is unknown; choose auto or one of {', '.join(ENGINES)}")
    if not _torch_is_installed():
        raise EngineError(f"the engine {name} needs torch, which is not installed: pip install 'kuaixun[torch]'")
    engine = _OPENERS[name](bundle, device, threads)
    check_golden(bundle.golden, bundle.pipeline, engine, bundle.path)
    return engine


def present_engines() -> list[tuple[str, str]]:
    """Every engine that can run here, with each device it can run on."""
    if not _torch_is_installed():
        return []
    import torch

    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    return [(name, device) for name in ENGINES for device in devices]


def _torch_is_installed() -> bool:
    return importlib.util.find_spec("torch") is not None
