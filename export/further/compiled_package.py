"""The student compiled ahead of time by AOTInductor: a shared library in a package, for one torch and one kind of CPU.

The folded graph, which is many times faster on a CPU than compiled convolutions are (docs/bundle.md).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torch._inductor
from torch import Tensor, nn
from torch._inductor import config as inductor
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler
from torch.nn import functional as F

from kuaixun.export.engine.interface import Scorer
from kuaixun.export.errors import EngineError
from kuaixun.export.further.exported_program import export_module
from kuaixun.export.further.quiet_torch import quiet_torch
from kuaixun.export.further.torch_scorer import TorchScorer
from kuaixun.export.student.folded import FoldedTextCNN
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture

# Registers of 256 bits and the compiler's own baseline besides, never `-march=native`: on x86-64 the package runs
# wherever AVX2 is, not on the one machine that made it. Threads are the caller's choice, not the maker's.
_COMPILER_SETTINGS = {"cpp.march": "", "cpp.simdlen": 256, "cpp.dynamic_threads": True}


class PaddedByOne(nn.Module):
    """A student over one more row and one more token, both of them PAD, which change no logits.

    A size of 1 is a case of its own to torch's layouts: a graph that never meets it exports for every batch.
    """

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student

    def forward(self, ids: Tensor) -> Tensor:
        """Logits: (batch, tokens) → (batch, classes)."""
        logits: Tensor = self.student(F.pad(ids, (0, 1, 0, 1), value=PAD))  # (batch + 1, classes)
        return logits[:-1]


def to_aotinductor_file(architecture: Architecture, weights: StudentWeights) -> bytes:
    """The file `student.aoti.pt2`, for CPUs. Takes a minute. Raises EngineError where the C++ compiler fails."""
    module = PaddedByOne(FoldedTextCNN(architecture, weights).eval())
    with tempfile.TemporaryDirectory() as folder, quiet_torch():
        program = export_module(module)
        package = Path(folder) / "student.pt2"
        try:
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(package), inductor_configs=dict(_COMPILER_SETTINGS)
            )
        except (CppCompileError, InvalidCxxCompiler) as error:
            raise EngineError(f"AOTInductor's C++ compiler fails: {error}") from error
        return package.read_bytes()


def open_aotinductor_file(content: bytes) -> Scorer:
    """Load `student.aoti.pt2`. Loading runs its library: only what one's own build made may come here."""
    with tempfile.TemporaryDirectory() as folder, quiet_torch():
        package = Path(folder) / "student.pt2"
        package.write_bytes(content)
        try:
            # Under the settings that it was made with; under others torch logs that the registers differ.
            with inductor.patch({"cpp.simdlen": _COMPILER_SETTINGS["cpp.simdlen"]}):
                run = torch._inductor.aoti_load_package(str(package))
        # torch tells of a broken archive or library by errors of any kind.
        except Exception as error:
            raise ValueError(f"AOTInductor cannot load it: {error}") from error
    return TorchScorer("student.aoti.pt2 (AOTInductor)", run)
