"""The stages that teach the student: what they read, what they score, and whom the student hears.

pretrain → teacher… ─┐                 scores of train, dev and test, out of fold where they have folds
words → network…    ─┼→ score… → blend…
        student…    ─┘    ↑            scores of the transfer set, and all of a student's
words → vary ─────────────┘            the transfer set, where it is made of variants
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.data_parts import DataParts
from kuaixun.trainer.pipeline.named_sections import named_sections
from kuaixun.trainer.pipeline.plan import Plan, Settings, near
from kuaixun.trainer.pipeline.stage import Stage
from kuaixun.trainer.pipeline.stage_maker import PARTS, Build, Planned, StageMaker, Wired
from kuaixun.trainer.pipeline.suited_settings import student_settings

KINDS = ("teacher", "network", "student")
TRANSFER = "transfer"
VARIANTS_FILE = "variants.txt"
# A student that teaches learns from labels alone.
TAUGHT = ("teacher-scores", "transfer", "transfer-scores")


@dataclass(frozen=True, slots=True)
class Heard:
    """Whom the student hears about one file: arguments, the stages they come from, and whether the user chose them."""

    arguments: tuple[str, ...]
    reads: tuple[str, ...]
    chosen: bool


class TeacherWiring:
    """The teachers of a plan, of all kinds, by their stages' names. Raises SettingError for what cannot be."""

    def __init__(self, plan: Plan, maker: StageMaker, parts: DataParts) -> None:
        self._plan, self._maker, self._parts = plan, maker, parts
        self.teachers = {name: of for kind in KINDS for name, of in named_sections(plan, kind).items()}
        written = named_sections(plan, "blend")
        if written and len(self.teachers) < 2:
            raise SettingError(
                "[blend] mixes several teachers; write a [[teacher]], [[network]] or [[student]] more, or leave it out"
            )
        self._blends = written or ({"blend": {}} if len(self.teachers) > 1 else {})
        self._members = {name: self._members_of(settings) for name, settings in self._blends.items()}
        if plan.has("vary") and "transfer" in plan.of("distil"):
            raise SettingError("[distil] transfer: [vary] makes the transfer set; take one of them out")
        if plan.has("vary") and not self.teachers:
            raise SettingError("[vary] makes texts for teachers to score, and there is none; write a [[network]]")
        if plan.has("words") and not (plan.has("vary") or plan.has("network")):
            raise SettingError("[words] is for [[network]] and [vary]; write one of them, or leave it out")

    @property
    def models(self) -> tuple[str, ...]:
        """All that has scores: the teachers, then the blends of them."""
        return (*self.teachers, *self._blends)

    @property
    def transfer(self) -> Path | None:
        """The transfer set, where there is one."""
        given = self._plan.of("distil").get("transfer")
        if self._plan.has("vary"):
            return self._maker.folder("vary") / VARIANTS_FILE
        return self._plan.folder / given if isinstance(given, str) else None

    def model(self, name: str) -> Path:
        """The folder of a teacher's model, or of its folds, called as the stage is: the report shows it."""
        return self._maker.folder(name) / name

    def scorer(self, name: str, role: str) -> str:
        """The stage that writes the scores of a teacher or a blend about a file."""
        return f"score-{name}" if name in self.teachers and role in self._scored_apart(name) else name

    def scores(self, name: str, role: str) -> Path:
        """Where it writes them."""
        return self._maker.folder(self.scorer(name, role)) / f"{name}-{role}.safetensors"

    def heard(self, option: str, role: str) -> Heard:
        """Whom the student hears about train or the transfer set: as [distil] says, else the one that there is.

        What the user names may be stages, whose scores are meant, or files, each with a weight or without.
        """
        given = {key.replace("_", "-"): value for key, value in self._plan.of("distil").items()}
        if option in given:
            value = given[option]
            found = [self._found(str(name), role) for name in (value if isinstance(value, list) else [value])]
            reads = tuple(dict.fromkeys(stage for _, stage in found if stage))
            return Heard(tuple(f"--{option}={file}" for file, _ in found), reads, chosen=True)
        names = tuple(self._blends or self.teachers)
        if len(names) > 1:
            raise SettingError(f"[distil] {option}: there are {', '.join(names)}; name those that the student hears")
        return Heard(
            tuple(f"--{option}={self.scores(name, role)}" for name in names),
            tuple(self.scorer(name, role) for name in names),
            chosen=False,
        )

    def planned(self) -> Iterator[Planned]:
        """The stages, each after those that it reads."""
        plan = self._plan
        for section, shared in (("pretrain", self._pretrain), ("words", self._words), ("vary", self._vary)):
            if plan.has(section):
                yield Planned(section, False, shared)
        kinds = {"teacher": self._teacher, "network": self._network, "student": self._student}
        builds = {name: kinds[_kind(name)](name, settings) for name, settings in self.teachers.items()}
        for name, build in builds.items():
            yield Planned(name, _kind(name) == "student", build)
        for name, build in builds.items():
            if self._scored_apart(name):
                yield Planned(f"score-{name}", False, self._score(name, self.teachers[name], build))
        for name, settings in self._blends.items():
            yield Planned(name, False, self._blend(name, settings))

    def _members_of(self, blend: Settings) -> tuple[str, ...]:
        members = blend.get("members", list(self.teachers))
        if not isinstance(members, list):
            raise SettingError(f"[blend] members is {members!r}; it must be a list of stages, as in {[*self.teachers]}")
        for name in members:
            if name not in self.teachers:
                raise SettingError(f"[blend] members: {name!r} is no teacher{near(str(name), self.teachers)}")
        if len(members) < 2 or len(set(members)) < len(members):
            raise SettingError(f"[blend] members: {', '.join(members)} are not several; name each of two or more once")
        return tuple(members)

    def _found(self, text: str, role: str) -> tuple[str, str]:
        """A file of scores, with its weight, and the stage that it comes from if it comes from one."""
        name, colon, weight = text.partition(":")
        if name not in self.models:
            return text, ""
        path = self.scores(name, role)
        if path.is_relative_to(self._plan.folder):  # a run that is moved as a whole keeps what it made
            path = path.relative_to(self._plan.folder)
        return f"{path}{colon}{weight}", self.scorer(name, role)

    def _scored_apart(self, name: str) -> dict[str, Path]:
        """The files, by role, that a stage of their own scores: another transfer set leaves the training as it is."""
        apart = {TRANSFER: self.transfer} if self.transfer else {}
        return apart | (self._files() if _kind(name) == "student" else {})

    def _files(self) -> dict[str, Path]:
        return {role: path for role in PARTS if (path := getattr(self._parts, role))}

    def _scoring(self, name: str, files: dict[str, Path]) -> Wired:
        return {"score": tuple(f"--score={path}={self.scores(name, role)}" for role, path in files.items())}

    def _pretrain(self, _: Analysis | None) -> Stage:
        folder = self._maker.folder("pretrain")
        wired = self._maker.output("pretrain", "encoder")
        wired |= self._texts() | {"cache": (f"--cache={folder / 'cache'}",)}
        settings = self._plan.of("pretrain")
        stage = self._maker.make(
            "pretrain", settings, wired, parts=self._parts, columns=("text-column",), shared=("texts",)
        )
        return replace(stage, resumed={"cache": (), "encoder.unfinished": ("--resume",)})

    def _words(self, _: Analysis | None) -> Stage:
        wired = self._texts() | self._maker.output("words", "words")
        settings = self._plan.of("words")
        return self._maker.make("words", settings, wired, parts=self._parts, columns=("text-column",), added=("texts",))

    def _texts(self) -> Wired:
        """Train as a file of texts."""
        return {"texts": (f"--texts={self._parts.train}",)}

    def _vary(self, _: Analysis | None) -> Stage:
        settings = self._plan.of("vary")
        words, reads = self._vectors("vary", settings)
        measured = [path for path in (self._parts.dev, self._parts.test) if path]
        wired = self._parts.wired("train", classes=False) | words | self._maker.output("vary", VARIANTS_FILE)
        wired["without"] = tuple(f"--without={path}" for path in measured)
        return self._maker.make("vary", settings, wired, parts=self._parts, shared=("words",), reads=reads)

    def _vectors(self, section: str, settings: Settings) -> tuple[Wired, tuple[str, ...]]:
        """The vectors of words that a stage begins with, and the stage that learns them."""
        if "words" in settings:
            return {}, ()
        if not self._plan.has("words"):
            raise SettingError(f"[{section}] words: is missing; name a folder, or learn vectors with [words]")
        return {"words": (f"--words={self._maker.folder('words') / 'words'}",)}, ("words",)

    def _teacher(self, name: str, settings: Settings) -> Build:
        def build(_: Analysis | None) -> Stage:
            wired: Wired = {}
            reads: tuple[str, ...] = ()
            if "encoder" not in settings:
                if not self._plan.has("pretrain"):
                    raise SettingError("[teacher] encoder: is missing; name a folder, or pre-train one with [pretrain]")
                wired = {"encoder": (f"--encoder={self._maker.folder('pretrain') / 'encoder'}",)}
                reads = ("pretrain",)
            return self._fitted(name, settings, wired, ("encoder",), reads)

        return build

    def _network(self, name: str, settings: Settings) -> Build:
        def build(_: Analysis | None) -> Stage:
            words, reads = self._vectors("network", settings)
            return self._fitted(name, settings, words, ("words",), reads)

        return build

    def _fitted(
        self, name: str, settings: Settings, wired: Wired, shared: tuple[str, ...], reads: tuple[str, ...]
    ) -> Stage:
        """A teacher that scores the parts itself, as only it can out of fold."""
        wired = self._parts.wired(*PARTS) | self._maker.output(name, name) | wired
        wired |= self._scoring(name, self._files())
        stage = self._maker.make(name, settings, wired, parts=self._parts, shared=shared, reads=reads)
        # A training of folds goes on after those that are there; any other begins anew.
        return replace(stage, resumed={name: ()} if "folds" in stage.chosen else {})

    def _student(self, name: str, settings: Settings) -> Build:
        def build(analysis: Analysis | None) -> Stage:
            for key in settings:
                if key.replace("_", "-") in TAUGHT:
                    raise SettingError(f"[student] {key}: a student that teaches learns from labels; leave it out")
            wired = self._parts.wired(*PARTS) | self._maker.output(name, name)
            suited = student_settings(analysis, settings) if analysis else ()
            return self._maker.make(name, settings, wired, command="distil", suited=suited, parts=self._parts)

        return build

    def _score(self, name: str, settings: Settings, taught: Build) -> Build:
        def build(_: Analysis | None) -> Stage:
            model = self.model(name)
            numbers = range(1, _folds(taught(None)) + 1)
            models = [model / f"fold-{number}" for number in numbers] or [model]
            wired = {"scores-only": ("--scores-only",), "teacher": tuple(f"--teacher={path}" for path in models)}
            wired |= self._scoring(name, self._scored_apart(name))
            machine = {key: settings[key] for key in ("device", "threads") if key in settings}
            reads = (name, *(("vary",) if self._plan.has("vary") else ()))
            return self._maker.make(f"score-{name}", machine, wired, command="teacher", parts=self._parts, reads=reads)

        return build

    def _blend(self, name: str, settings: Settings) -> Build:
        def build(_: Analysis | None) -> Stage:
            files = self._files() | ({TRANSFER: self.transfer} if self.transfer else {})
            members = self._members[name]
            wired = self._parts.wired("dev") | self._scoring(name, files)
            wired["member"] = tuple(
                word for one in members for word in ("--member", *(str(self.scores(one, role)) for role in files))
            )
            reads: Sequence[str] = [self.scorer(one, role) for one in members for role in files]
            reads = (*dict.fromkeys(reads), *(("vary",) if self._plan.has("vary") else ()))
            given = {key: value for key, value in settings.items() if key != "members"}
            return self._maker.make(name, given, wired, parts=self._parts, reads=reads)

        return build


def _folds(teacher: Stage) -> int:
    """How many folds a teacher has, by what its command is told: a file of a run may write a number as a text."""
    return int(next(iter(teacher.chosen.get("folds", ())), "=0").partition("=")[2])


def _kind(name: str) -> str:
    return name.partition("-")[0]
