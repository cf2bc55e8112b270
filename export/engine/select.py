"""Choosing and opening an engine. None serves before it has passed the bundle's golden cases."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import importlib
import importlib.util
import logging
from collections.abc import Callable

from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine.interface import CONVOLUTIONAL, DEVICES, PRECISIONS, Engine, EngineChoice
from kuaixun.export.errors import EngineError

LOG = logging.getLogger(__name__)

# An install goes on without the native engine where building it fails, and pip shows the reason to who asks for it.
NOT_BUILT = (
    "the native engine could not be built when kuaixun was installed. What shows why, from the source folder: "
    "pip install --verbose --force-reinstall --no-deps . (what it needs is a C++17 compiler)"
)
# Built by another Python, for another C library, or cut short.
NOT_LOADABLE = (
    "the native engine is installed and cannot be loaded: {reason}. Build it anew, from the source folder: "
    "pip install --force-reinstall --no-deps ."
)
NO_ENGINE = (
    "no engine can run here: {problem}; and torch is not installed. Mend the build, or: pip install 'kuaixun[torch]'"
)
_NATIVE_MODULE = "kuaixun.export._native"


def _native(bundle: Bundle, choice: EngineChoice) -> Engine:
    if problem := _native_problem():
        raise EngineError(f"{problem}; or use the engine torchscript")
    from kuaixun.export.engine.native import open_native

    return open_native(bundle, choice)


def _torchscript(bundle: Bundle, choice: EngineChoice) -> Engine:
    require_torch(f"the engine {choice.name}")
    from kuaixun.export.engine.torchscript import open_folded

    return open_folded(bundle, choice)


def _torchscript_convolutional(bundle: Bundle, choice: EngineChoice) -> Engine:
    require_torch(f"the engine {choice.name}")
    from kuaixun.export.engine.torchscript import open_convolutional

    return open_convolutional(bundle, choice)


# By the name that settings and command lines use. What an engine needs is imported when it opens.
_OPENERS: dict[str, Callable[[Bundle, EngineChoice], Engine]] = {
    "native": _native,
    "torchscript": _torchscript,
    CONVOLUTIONAL: _torchscript_convolutional,
}
ENGINES = tuple(_OPENERS)


def open_engine(bundle: Bundle, choice: EngineChoice) -> Engine:
    """Open an engine on a bundle and check it against the golden cases.

    torchscript-convolutional runs the bundle's `student.pt`, a program of its maker's; no other engine does.
    `auto` is torchscript on CUDA where torch can use a GPU and the precision is not one that native alone has, else
    native, else torchscript. Raises EngineError where the engine cannot run here, GoldenCaseError where it gives other
    answers.
    """
    choice = _resolved(choice)
    if choice.name != "native":  # which reads every file and checks the golden cases in C++, by its own text pipeline
        bundle.read_all()
    engine = _OPENERS[choice.name](bundle, choice)
    if choice.name != "native":
        from kuaixun.export.bundle.golden import check_golden

        check_golden(bundle.golden, bundle.pipeline, engine, bundle.path)
    return engine


def open_and_compare(bundle: Bundle, choice: EngineChoice) -> tuple[Engine, float]:
    """The same, and the largest logit difference over the golden cases, behind Python's text pipeline."""
    from kuaixun.export.bundle.golden import check_golden

    choice = _resolved(choice)
    engine = _OPENERS[choice.name](bundle, choice)
    return engine, check_golden(bundle.golden, bundle.pipeline, engine, bundle.path)


def _resolved(choice: EngineChoice) -> EngineChoice:
    """The choice with an engine in the place of `auto`. Raises EngineError for a name that is unknown."""
    for what, value, known in (
        ("engine", choice.name, ("auto", *ENGINES)),
        ("device", choice.device, DEVICES),
        ("precision", choice.precision, PRECISIONS),
    ):
        if value not in known:
            raise EngineError(f"the {what} {value!r} is unknown; choose one of {', '.join(known)}")
    if choice.name == "auto":
        return dataclasses.replace(choice, name=_best(choice.device, choice.precision))
    return choice


def present_engines() -> list[EngineChoice]:
    """Every engine that can run here, on each device and in each precision it has. Raises EngineError for none."""
    choices = []
    if not (problem := _native_problem()):
        choices += [EngineChoice("native", "cpu", precision) for precision in PRECISIONS if precision != "auto"]
    if _torch_is_installed():
        devices = ("cpu", "cuda") if _torch_has_cuda() else ("cpu",)
        choices += [EngineChoice(name, device, "fp32") for name in ENGINES if name != "native" for device in devices]
    if not choices:
        raise EngineError(NO_ENGINE.format(problem=problem))
    if problem:
        _say_once(f"{problem}. It is left out")
    return choices


def require_torch(purpose: str) -> None:
    """Raise EngineError, naming what it is needed for, where torch is not installed."""
    if not _torch_is_installed():
        raise EngineError(f"{purpose} needs torch, which is not installed: pip install 'kuaixun[torch]'")


def _best(device: str, precision: str) -> str:
    """What `auto` stands for on a device, in a precision."""
    if device == "cuda":
        return "torchscript"
    if device == "auto" and precision in {"auto", "fp32"} and _torch_is_installed() and _torch_has_cuda():
        return "torchscript"
    if not (problem := _native_problem()):
        return "native"
    if not _torch_is_installed():
        raise EngineError(NO_ENGINE.format(problem=problem))
    _say_once(f"{problem}. Torch serves instead, many times slower")
    return "torchscript"


@functools.cache
def _native_problem() -> str:
    """Why the native engine cannot run here; empty where it can."""
    if importlib.util.find_spec(_NATIVE_MODULE) is None:
        return NOT_BUILT
    try:
        importlib.import_module(_NATIVE_MODULE)
    except ImportError as error:
        return NOT_LOADABLE.format(reason=error)
    return ""


def _torch_is_installed() -> bool:
    return importlib.util.find_spec("torch") is not None


def _torch_has_cuda() -> bool:
    """Whether torch can compute on a GPU. It is imported to ask only where the driver shows one."""
    if not _cuda_gpus():
        return False
    import torch

    if torch.cuda.is_available():
        return True
    _say_once(
        "the CUDA driver shows a GPU, but torch cannot use it: it is a build for CPUs, or the driver is too old. The "
        "CPU serves instead"
    )
    return False


@functools.cache
def _cuda_gpus() -> int:
    """How many GPUs the CUDA driver shows, asked of the driver itself: importing torch to ask takes seconds."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


@functools.cache
def _say_once(message: str) -> None:
    LOG.warning(message)
