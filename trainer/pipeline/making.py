"""Stages made in order: each is kept where nothing that it is made from has changed, and made again where it has.

1. Take the work folder, so that two runs do not make the same stage.
2. Of each stage, say what it would be made from now, and compare with its record.
3. Where they differ, set the old folder aside, run the command, and write the record when the folder is whole.

A run that ends in the middle, however it ends, goes on there: what has no record is made again.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE
from kuaixun.export.durable_file import flush_all, write_durably
from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.figures import read_analysis
from kuaixun.trainer.pipeline.keys import (
    FAILED_FILE,
    RECORD_FILE,
    STARTED_FILE,
    Finished,
    Ingredients,
    outputs_of,
    read_finished,
)
from kuaixun.trainer.pipeline.launch import Launch
from kuaixun.trainer.pipeline.plan import near
from kuaixun.trainer.pipeline.stage import Stage
from kuaixun.trainer.pipeline.stage_maker import Planned
from kuaixun.trainer.pipeline.wiring import Wiring

LOCK_FILE = ".lock"
SET_ASIDE = "previous"
OF_INTERRUPTED = ".interrupted"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which stages are made whether or not anything changed: all from one on, or just one."""

    from_stage: str | None = None
    only: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a stage: `reason` says why it is made, and is empty where it is kept."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a stage: kept or made, in so many seconds, its exit code."""

    stage: Stage
    reason: str
    seconds: float
    exit_code: int = 0


class Run:
    """One run of a plan. `say` takes a line. Raises SettingError for what no stage would take, before any is made."""

    def __init__(self, wiring: Wiring, choice: Choice, say: Callable[[str], None]) -> None:
        self._wiring, self._choice, self._say = wiring, choice, say
        self._names = [planned.name for planned in wiring.stages]
        for option, name in (("--from", choice.from_stage), ("--only", choice.only)):
            if name is not None and name not in self._names:
                raise SettingError(f"{option} {name}: there is no such stage{near(name, self._names)}")
        self._finished: dict[str, Finished] = {}
        self._expect_all(None)  # an analysis of an earlier file says nothing of this one

    def _expect_all(self, analysis: Analysis | None) -> None:
        """Raise SettingError for a stage that cannot be, be it the last one: hours before it would be made."""
        for planned in self._wiring.stages:
            planned.build(None if self._is_left_out(planned) else analysis)

    def decide(self) -> Iterator[Decision]:
        """What would be made, and why, as far as that can be known before anything is.

        Raises SettingError where `make` would before it begins.
        """
        analysed = True
        remade: set[str] = set()
        for planned in self._wiring.stages:
            if self._is_left_out(planned):
                self._expect_finished(planned)
                yield Decision(planned.name, "")
                continue
            stage = planned.build(self._analysis() if analysed else None)
            waits = [name for name in stage.reads if name in remade]
            if waits:
                reason = f"made again before it: {', '.join(waits)}"
            elif planned.suited and not analysed:
                reason = "its settings follow from the analysis, which is made again"
            else:
                reason = self._reason(stage)
            if reason:
                remade.add(planned.name)
                analysed = analysed and planned.name != "analyse"
            yield Decision(planned.name, reason)

    def make(self, launch: Launch, folder: Path) -> Iterator[Made]:
        """Make what is to be made, one stage after another; commands run in `folder`. Ends at the first that fails."""
        expected = False  # that all stages take the settings which the analysis brings along
        with _alone(self._wiring.work) as lock:
            for number, planned in enumerate(self._wiring.stages, start=1):
                if self._is_left_out(planned):
                    self._expect_finished(planned)
                    continue
                stage = planned.build(self._analysis())
                if "analyse" in self._finished and not expected:
                    self._expect_all(self._analysis())
                    expected = True
                reason = self._reason(stage)
                place = f"{number} of {len(self._names)}, {stage.name}"
                if not reason:
                    self._say(f"{place}: nothing has changed, kept")
                    yield Made(stage, "", 0.0)
                    continue
                self._say(f"{place}: {reason}")
                for note in stage.notes:
                    self._say(f"  {note}")
                made = self._make(stage, reason, launch, folder, lock)
                yield made
                if made.exit_code:
                    return

    def _make(self, stage: Stage, reason: str, launch: Launch, folder: Path, lock: int) -> Made:
        ingredients = stage.ingredients(self._finished)
        arguments = stage.arguments
        aside = _set_aside(stage, ingredients.key())
        if aside and aside.name.endswith(OF_INTERRUPTED):
            self._say(f"  what it had written when it ended early, such as its best so far, now lies in {aside}")
        if left := _prepare(stage, ingredients.key()):
            arguments += [word for name in left for word in stage.resumed[name]]
            self._say(f"  going on from what is there already: {', '.join(left)}")
        started_seconds = time.monotonic()
        code = launch(stage.program, arguments, folder, stage.folder / stage.printed, lock)
        seconds = time.monotonic() - started_seconds
        if not code:
            finished = _record(stage, ingredients, seconds)
            self._finished[stage.name] = finished
            return Made(stage, reason, seconds)
        _drop_if_empty(stage.folder / stage.printed)
        if code != INTERRUPTED_EXIT_CODE:
            with suppress(OSError):  # a full disk, say, of which the stage has told already
                write_durably(stage.folder / FAILED_FILE, b"")
        return Made(stage, reason, seconds, code)

    def _reason(self, stage: Stage) -> str:
        """Why the stage is to be made; nothing where it is finished and nothing changed."""
        found = read_finished(stage.folder)
        now = stage.ingredients(self._finished) if all(name in self._finished for name in stage.reads) else None
        reason = self._chosen(stage.name) or _reason_of(stage, found, now)
        if not reason and stage.name == "analyse" and self._analysis() is None:
            reason = "what it left is of another version"
        if found and not reason:
            self._finished[stage.name] = found
        return reason

    def _chosen(self, name: str) -> str:
        choice = self._choice
        if name == choice.only:
            return "chosen with --only"
        begins = self._names.index(choice.from_stage) if choice.from_stage else len(self._names)
        return f"chosen with --from {choice.from_stage}" if self._names.index(name) >= begins else ""

    def _is_left_out(self, planned: Planned) -> bool:
        return self._choice.only is not None and planned.name != self._choice.only

    def _expect_finished(self, planned: Planned) -> None:
        """Take a stage that is not to be made as it is; a later one that reads it needs it finished.

        What stages read does not follow from the analysis. Their settings may, and to know those takes files that the
        stage asked about may have lost.
        """
        found = read_finished(planned.build(None).folder)
        if found:
            self._finished[planned.name] = found
            return
        reader = next(one for one in self._wiring.stages if one.name == self._choice.only)
        needs_analysis = reader.suited and planned.name == "analyse"
        if needs_analysis or planned.name in reader.build(None).reads:
            raise SettingError(
                f"--only {reader.name}: it reads {planned.name}, which is not finished; leave --only out"
            )

    def _analysis(self) -> Analysis | None:
        """None where there is none yet, or one that says less than is asked of it now."""
        if read_finished(self._wiring.analysis_path.parent) is None:
            return None
        try:
            return read_analysis(self._wiring.analysis_path)
        except msgspec.DecodeError:
            return None


def _reason_of(stage: Stage, found: Finished | None, now: Ingredients | None) -> str:
    if found is None:
        if (stage.folder / RECORD_FILE).exists():
            return "its files are not those that it left"
        if (stage.folder / FAILED_FILE).exists():
            return "failed the last time"
        return "was interrupted" if (stage.folder / STARTED_FILE).exists() else "not made yet"
    if now is None:
        return "what it reads is not finished"
    return now.changed_since(found.ingredients)


def _set_aside(stage: Stage, key: str) -> Path | None:
    """Move what is not to be lost out of the folder of a stage that is to be made; where to, if there was something.

    That is a finished stage, or what one that ended early wrote and cannot go on from. Each stays until the next of
    its kind is set aside.
    """
    finished = (stage.folder / RECORD_FILE).exists()
    if not finished and (_resumed(stage, key) or not _has_results(stage)):
        return None
    aside = stage.folder.parent / SET_ASIDE / (stage.folder.name + ("" if finished else OF_INTERRUPTED))
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(exist_ok=True)
    stage.folder.rename(aside)
    return aside


def _has_results(stage: Stage) -> bool:
    """Whether the folder holds more than the run itself put there; what begins with a dot was never whole."""
    ours = (STARTED_FILE, FAILED_FILE, stage.printed)
    paths = stage.folder.iterdir() if stage.folder.exists() else ()
    return any(path.name not in ours and not path.name.startswith(".") for path in paths)


def _drop_if_empty(printed: Path) -> None:
    """A command that was refused printed nothing: an empty table or figure would be taken for a damaged one."""
    with suppress(OSError):
        if not printed.stat().st_size:
            printed.unlink()


def _resumed(stage: Stage, key: str) -> set[str]:
    """What is there of an interrupted stage of the same key that the next one goes on from."""
    started = stage.folder / STARTED_FILE
    if not started.exists() or started.read_text(encoding="utf-8") != key:
        return set()
    return {name for name in stage.resumed if (stage.folder / name).exists()}


def _prepare(stage: Stage, key: str) -> list[str]:
    """An empty folder for the stage, but for what an interruption of the same stage left; the names of that."""
    kept = _resumed(stage, key)
    for path in stage.folder.iterdir() if stage.folder.exists() else ():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    stage.folder.mkdir(parents=True, exist_ok=True)
    write_durably(stage.folder / STARTED_FILE, key.encode())
    return sorted(kept)


def _record(stage: Stage, ingredients: Ingredients, seconds: float) -> Finished:
    """Write that a stage is finished, once its files are on the disk: no record outlives them."""
    flush_all(stage.folder)
    finished = Finished(
        key=ingredients.key(),
        ingredients=ingredients,
        finished_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        seconds=round(seconds, 1),
        outputs=outputs_of(stage.folder),
    )
    write_durably(stage.folder / RECORD_FILE, msgspec.json.format(msgspec.json.encode(finished), indent=2) + b"\n")
    return finished


@contextmanager
def _alone(work: Path) -> Iterator[int]:
    """The work folder for this run alone; yields the lock's file descriptor. Raises SettingError where another has it.

    Whoever inherits the descriptor has the folder too: a command that a killed run left behind is still at work.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingError(f"{work}: another run is at work in this folder; wait for it, or name another") from None
        yield lock.fileno()
