"""Two models that answer differently, behind a link, and what `kuaixun-export classify` says each of them answers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from tests.worker.bundles import copied_bundle, renamed_bundle, turn

NO_LABEL = 255


class _Line(msgspec.Struct):
    label: str | None


class Models:
    """The bundle that ships and one whose labels are moved by one place, so that to mix them up shows."""

    def __init__(self, folder: Path) -> None:
        self.labels = read_manifest(default_bundle_path()).labels
        self.link = folder / "current"
        self._folders = [folder / "one", folder / "other"]
        self.ids = [
            copied_bundle(self._folders[0]),
            renamed_bundle(self._folders[1], [*self.labels[1:], self.labels[0]]),
        ]
        self._answers: dict[str, bytes] = {}
        self._serving = 1
        self.swap()

    def swap(self) -> str:
        """Let the link name the other one; its model id."""
        self._serving = 1 - self._serving
        turn(self.link, self._folders[self._serving])
        return self.ids[self._serving]

    def classify(self, titles: Iterable[str]) -> None:
        """Ask both for their answers, by the command line. Blocks: some 10 µs a title."""
        number_of = {label: number for number, label in enumerate(self.labels)}
        command = [str(Path(sys.executable).with_name("kuaixun-export")), "classify", "--threads", "1", "--bundle"]
        with tempfile.TemporaryFile() as texts:
            texts.writelines(title.encode() + b"\n" for title in titles)
            for model_id, folder in zip(self.ids, self._folders, strict=True):
                texts.seek(0)
                with subprocess.Popen([*command, str(folder)], stdin=texts, stdout=subprocess.PIPE) as answering:
                    assert answering.stdout is not None
                    lines = (msgspec.json.decode(line, type=_Line).label for line in answering.stdout)
                    self._answers[model_id] = bytes(NO_LABEL if label is None else number_of[label] for label in lines)
                if answering.returncode:
                    raise RuntimeError(f"kuaixun-export classify ended with exit code {answering.returncode}")

    def label(self, model_id: str, number: int) -> str | None:
        """A model's answer to the title of an input; None where there is no such model or no label."""
        answers = self._answers.get(model_id)
        if answers is None or answers[number] == NO_LABEL:
            return None
        return self.labels[answers[number]]
