"""Which further outputs there are, what making and running each needs, and whether running it runs code of its maker's.

They are files of a bundle like any other, listed and hashed in its manifest; no engine of ours serves from them.
Nothing here imports torch: `kuaixun-export inspect` and `--help` know the outputs by their names.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kuaixun.export.errors import EngineError

if TYPE_CHECKING:
    from kuaixun.export.engine.interface import Scorer
    from kuaixun.export.student.weights import StudentWeights
    from kuaixun.schemas.manifest import Architecture


@dataclass(frozen=True, slots=True)
class FurtherOutput:
    """`name` as the command line says it, `file` in the bundle, `modules` that must be importable to make it.

    `runtime` is the one of them that runs it. `holds_code` where loading the file can run anything its maker liked.
    """

    name: str
    file: str
    modules: tuple[str, ...]
    runtime: str
    holds_code: bool


ONNX = FurtherOutput("onnx", "student.onnx", ("torch", "onnx", "onnxscript", "onnxruntime"), "onnxruntime", False)
# torch.export.load unpickles whatever tensors the archive declares to be pickled.
TORCH_EXPORT = FurtherOutput("torch-export", "student.pt2", ("torch",), "torch", True)
AOTINDUCTOR = FurtherOutput("aotinductor", "student.aoti.pt2", ("torch",), "torch", True)
FURTHER_OUTPUTS = {output.name: output for output in (ONNX, TORCH_EXPORT, AOTINDUCTOR)}


def require(outputs: Iterable[FurtherOutput]) -> None:
    """Raise EngineError, naming what to install, where one of them cannot be made here."""
    for output in outputs:
        if missing := [module for module in output.modules if not _is_installed(module)]:
            extra = "onnx" if output is ONNX else "torch"
            raise EngineError(
                f"--also {output.name} needs {', '.join(missing)}, which is not installed: "
                f"pip install 'kuaixun[{extra}]'"
            )
        if output is AOTINDUCTOR and shutil.which(compiler := os.environ.get("CXX", "g++")) is None:
            raise EngineError(
                f"--also {output.name} compiles, and there is no {compiler}: install a C++ compiler, or name one in CXX"
            )


def cannot_run_here(output: FurtherOutput) -> str:
    """Why an output's runtime is not to be had; empty where it is."""
    return "" if _is_installed(output.runtime) else f"{output.runtime} is not installed"


def make(output: FurtherOutput, architecture: Architecture, weights: StudentWeights) -> bytes:
    """The output's file. `require` has passed. Raises EngineError where AOTInductor's compiler fails."""
    if output is ONNX:
        from kuaixun.export.further.onnx_model import to_onnx_file

        return to_onnx_file(architecture, weights)
    if output is TORCH_EXPORT:
        from kuaixun.export.further.exported_program import to_torch_export_file

        return to_torch_export_file(architecture, weights)
    from kuaixun.export.further.compiled_package import to_aotinductor_file

    return to_aotinductor_file(architecture, weights)


def open_output(output: FurtherOutput, content: bytes) -> Scorer:
    """What computes logits from the file alone, on the CPU.

    Only content whose hash was checked may come here, and of outputs that hold code only what one's own build made.
    Raises ValueError where the runtime finds no student in it.
    """
    if output is ONNX:
        from kuaixun.export.further.onnx_session import open_onnx_file

        return open_onnx_file(content)
    if output is TORCH_EXPORT:
        from kuaixun.export.further.exported_program import open_torch_export_file

        return open_torch_export_file(content)
    from kuaixun.export.further.compiled_package import open_aotinductor_file

    return open_aotinductor_file(content)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
