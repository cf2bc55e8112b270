"""What the Python and the C++ reader say of the same folder, each in this process."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

from kuaixun.export.bundle.reader import read_bundle
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.engine.select import open_engine
from kuaixun.export.errors import BundleError

_MESSAGE_BYTES = 1000
_FP32 = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a reader opens a bundle, what it says where it does not, and the exit code that goes with it."""

    is_sound: bool
    message: str = ""
    exit_code: int = 0


class BothReaders:
    """Opens bundles, golden cases included, by both readers."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def refuse(self, bundle: Path, name: str) -> None:
        """Assert that both refuse the bundle, with the same exit code, and name the file."""
        python, cpp = by_python(bundle), self.by_cpp(bundle)
        assert not python.is_sound
        assert not cpp.is_sound
        assert name in python.message
        assert name in cpp.message
        assert python.exit_code == cpp.exit_code

    def agree(self, bundle: Path) -> bool:
        """Assert that both say the same of the bundle. Returns whether they open it."""
        python, cpp = by_python(bundle), self.by_cpp(bundle)
        assert python.is_sound == cpp.is_sound, f"Python: {python.message!r}; C++: {cpp.message!r}"
        return python.is_sound

    def by_cpp(self, bundle: Path) -> Verdict:
        """The C++ runtime's verdict."""
        classifier = ctypes.c_void_p()
        message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        place = (ctypes.byref(classifier), message, ctypes.c_size_t(_MESSAGE_BYTES))
        code = self._library.kuaixun_open(bytes(bundle), _FP32, *place)
        self._library.kuaixun_close(classifier)
        return Verdict(code == 0, message.value.decode("utf-8", "replace"), code)


def by_python(bundle: Path) -> Verdict:
    """The Python package's verdict. Raises what is no refusal but a fault."""
    try:
        open_engine(read_bundle(bundle), EngineChoice("torchscript", device="cpu", precision="fp32"))
    except BundleError as error:
        return Verdict(is_sound=False, message=str(error), exit_code=error.exit_code)
    return Verdict(is_sound=True)
