"""Which stages a plan has, in their order, and what each hands to the next.

split → analyse → baseline…
      ↘ pretrain → teacher… → blend → distil → export → evaluate → report
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.command_options import RaisingParser, arguments_of, parsed, parser_of
from kuaixun.trainer.pipeline.data_parts import COLUMNS, DataParts, data_settings, parts_of
from kuaixun.trainer.pipeline.plan import Plan, Settings
from kuaixun.trainer.pipeline.stage import EXPORT, TRAINER, Arguments, Stage, input_files
from kuaixun.trainer.pipeline.suited_settings import Suited, baseline_settings, space_share, student_settings

PLACES = ("split", "analyse", "baseline", "pretrain", "teacher", "blend", "distil", "export", "evaluate", "report")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
PARTS = ("train", "dev", "test")
# Options that no section may hold: the run sets them, or they would lead its output astray.
OURS = (*PARTS, "data", "classes", "output", "json", "prepare-only", "resume", "scores-only", "teacher", *COLUMNS)
# What a section says of these comes beside what the run says.
ADDED_TO = ("bundle", "scores")
ANALYSIS_FILE = "analysis.json"
Build = Callable[[Analysis | None], Stage]


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage to be; `build` makes it once the analysis is known, on which the settings of `suited` ones depend."""

    name: str
    suited: bool
    build: Build


class Wiring:
    """The stages of a plan in the folder `work`. Raises SettingError for what no command would take."""

    def __init__(self, plan: Plan, work: Path) -> None:
        from kuaixun.export.cli import build_parser as export_parser
        from kuaixun.trainer.cli import build_parser

        self._plan, self.work = plan, work.resolve()
        self._parsers = {TRAINER: build_parser(RaisingParser), EXPORT: export_parser(RaisingParser)}
        self._data = data_settings(plan.of("data"))
        self.parts: DataParts = parts_of(self._data, plan.folder, self.folder("split") / "parts", "split")
        self._teachers = self._named("teacher")
        self._baselines = self._named("baseline") or {"baseline": {}}
        teachers = tuple(self._teachers)
        self._heard = ("blend",) if len(teachers) > 1 else teachers
        if plan.has("blend") and len(teachers) < 2:
            raise SettingError("[blend] mixes several teachers; write [[teacher]] twice or more, or leave it out")
        self.analysis_path = self.folder("analyse") / ANALYSIS_FILE
        self.stages = self._planned()

    def folder(self, name: str) -> Path:
        """The folder of a stage: numbered by its kind, so that an optional stage more moves no other."""
        place = next(number for number, kind in enumerate(PLACES, start=1) if name.split("-")[0] == kind)
        return self.work / f"{place:02d}-{name}"

    def _planned(self) -> tuple[Planned, ...]:
        plan = self._plan
        stages = [Planned("split", False, self._split)] if "file" in self._data else []
        stages.append(Planned("analyse", False, self._analyse))
        if "baseline" not in plan.without:
            stages += [Planned(name, True, self._baseline(name, given)) for name, given in self._baselines.items()]
        if plan.has("pretrain"):
            stages.append(Planned("pretrain", False, self._pretrain))
        stages += [Planned(name, False, self._teacher(name, given)) for name, given in self._teachers.items()]
        if len(self._teachers) > 1:
            stages.append(Planned("blend", False, self._blend))
        stages += [Planned("distil", True, self._distil), Planned("export", False, self._export)]
        if "evaluate" not in plan.without:
            stages.append(Planned("evaluate", False, self._evaluate))
        if "report" not in plan.without and self.parts.test:
            stages.append(Planned("report", False, self._report))
        return tuple(stages)

    def _named(self, section: str) -> dict[str, Settings]:
        """The sections of a kind by their stages' names: `teacher-bert` for name = "bert", else by number."""
        found: dict[str, Settings] = {}
        sections = self._plan.all_of(section)
        for number, settings in enumerate(sections, start=1):
            name = settings.get("name", str(number))
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise SettingError(f"[{section}] name is {name!r}; it must be of letters a to z, digits, _ and -")
            stage = f"{section}-{name}"
            if stage in found:
                raise SettingError(f"[{section}] name: two are called {name!r}; give each a name of its own")
            found[stage] = {key: value for key, value in settings.items() if key != "name"}
        return found

    def _stage(
        self,
        name: str,
        settings: Settings,
        wired: Arguments,
        *,
        command: str = "",
        program: str = TRAINER,
        positional: tuple[str, ...] = (),
        suited: tuple[Suited, ...] = (),
        columns: bool = True,
        shared: tuple[str, ...] = (),
        reads: tuple[str, ...] = (),
    ) -> Stage:
        """A stage whose arguments the command itself has looked at; `shared` may be set by the run and the user."""
        section = name.split("-")[0]
        command = command or section
        reserved = {*wired, *OURS} - set(shared)
        given = arguments_of(section, parser_of(self._parsers[program], command), settings, reserved)
        wired = {option: words for option, words in wired.items() if option not in given or option in ADDED_TO}
        suited = tuple(one for one in suited if one.option not in given)
        chosen = given | {one.option: one.arguments for one in suited} | (self.parts.columns if columns else {})
        stage = Stage(
            name=name,
            section=section,
            folder=self.folder(name),
            program=program,
            command=command,
            chosen=chosen,
            wired=wired,
            positional=positional,
            files={},
            reads=(*self.parts.reads, *reads) if columns and name != "split" else reads,
            notes=tuple(one.note for one in suited),
        )
        options = parsed(section, self._parsers[program], stage.arguments)
        return replace(stage, files=input_files(section, options, self._plan.folder, self.work))

    def _split(self, _: Analysis | None) -> Stage:
        settings = {name: value for name, value in self._data.items() if name != "file"}
        output = self.folder("split") / "parts"
        wired = {"data": (f"--data={self._data['file']}",), "output": (f"--output={output}",)}
        stage = self._stage("split", settings, wired, columns=False, shared=(*COLUMNS, "classes"))
        if str(settings.get("ratios", "::")).count(":") != 2:
            raise SettingError(f"[data] ratios is {settings['ratios']!r}; a run needs three parts, as in 8:1:1")
        return stage

    def _analyse(self, _: Analysis | None) -> Stage:
        wired = self.parts.wired(*PARTS) | {"json": ("--json",)}
        return replace(self._stage("analyse", self._plan.of("analyse"), wired), printed=ANALYSIS_FILE)

    def _baseline(self, name: str, settings: Settings) -> Build:
        def build(analysis: Analysis | None) -> Stage:
            wired = self.parts.wired(*PARTS) | self._output(name, "figures")
            suited = baseline_settings(analysis, space_share(self.parts.train)) if analysis else ()
            return self._stage(name, settings, wired, suited=suited)

        return build

    def _pretrain(self, _: Analysis | None) -> Stage:
        folder = self.folder("pretrain")
        wired = self._output("pretrain", "encoder")
        wired |= {"texts": (f"--texts={self.parts.train}",), "cache": (f"--cache={folder / 'cache'}",)}
        settings = self._plan.of("pretrain")
        stage = self._stage("pretrain", settings, wired, columns=False, shared=("texts",), reads=self.parts.reads)
        return replace(stage, resumed={"cache": (), "encoder.unfinished": ("--resume",)})

    def _teacher(self, name: str, settings: Settings) -> Build:
        def build(_: Analysis | None) -> Stage:
            wired = self.parts.wired(*PARTS) | self._output(name, "teacher")
            wired["score"] = tuple(
                f"--score={data}={self._scores(name, role)}" for role, data in self._scored().items()
            )
            reads: tuple[str, ...] = ()
            if "encoder" not in settings:
                if not self._plan.has("pretrain"):
                    raise SettingError("[teacher] encoder: is missing; name a folder, or pre-train one with [pretrain]")
                reads = ("pretrain",)
                wired["encoder"] = (f"--encoder={self.folder('pretrain') / 'encoder'}",)
            stage = self._stage(name, settings, wired, shared=("encoder",), reads=reads)
            # A training of folds goes on after those that are there; any other begins anew.
            return replace(stage, resumed={"teacher": ()} if "folds" in stage.chosen else {})

        return build

    def _blend(self, _: Analysis | None) -> Stage:
        members = [("--member", *(str(self._scores(name, role)) for role in self._scored())) for name in self._teachers]
        wired = self.parts.wired("dev")
        wired["member"] = tuple(word for member in members for word in member)
        wired["score"] = self._scoring("blend")
        return self._stage("blend", self._plan.of("blend"), wired, reads=tuple(self._teachers))

    def _distil(self, analysis: Analysis | None) -> Stage:
        settings = self._plan.of("distil")
        wired = self.parts.wired(*PARTS) | self._output("distil", "checkpoint")
        for teacher in self._heard:
            wired["teacher-scores"] = (f"--teacher-scores={self._scores(teacher, 'train')}",)
            if "transfer" in settings:
                wired["transfer-scores"] = (f"--transfer-scores={self._scores(teacher, 'transfer')}",)
        suited = student_settings(analysis, space_share(self.parts.train), settings) if analysis else ()
        own = ("teacher-scores", "transfer-scores")
        return self._stage("distil", settings, wired, suited=suited, shared=own, reads=self._heard)

    def _export(self, _: Analysis | None) -> Stage:
        places = (str(self.folder("distil") / "checkpoint"), str(self.bundle_path))
        settings = self._plan.of("export")
        return self._stage(
            "export",
            settings,
            {},
            command="build",
            program=EXPORT,
            positional=places,
            columns=False,
            reads=("distil",),
        )

    def _evaluate(self, _: Analysis | None) -> Stage:
        role = "test" if self.parts.test else "dev"
        wired = self.parts.wired("train", classes=False)
        wired["data"] = (f"--data={getattr(self.parts, role)}",)
        wired["bundle"] = (f"--bundle={self.bundle_path}",)
        if self._teachers:
            heard = (*self._teachers, *self._heard) if len(self._teachers) > 1 else self._heard
            wired["scores"] = tuple(f"--scores={self._scores(name, role)}" for name in heard)
        wired |= self._output("evaluate", "figures")
        reads = ("export", *self._teachers, *(self._heard if len(self._teachers) > 1 else ()))
        return self._stage("evaluate", self._plan.of("evaluate"), wired, shared=ADDED_TO, reads=reads)

    def _report(self, _: Analysis | None) -> Stage:
        named: dict[str, Path] = {"bundle": self.bundle_path, "analysis": self.analysis_path}
        named |= {"run": self.folder("distil") / "checkpoint", "output": self.report_path}
        wired = self.parts.wired(*PARTS, classes=False) | {name: (f"--{name}={path}",) for name, path in named.items()}
        compared = () if "baseline" in self._plan.without else tuple(self._baselines)
        wired["baselines"] = tuple(f"--baselines={self.folder(name) / 'figures'}" for name in compared)
        heard = (*self._teachers, *self._heard) if len(self._teachers) > 1 else self._heard
        wired["scores"] = tuple(f"--scores={self._scores(name, 'test')}" for name in heard)
        taught = tuple(name for name, settings in self._teachers.items() if "folds" not in settings)
        wired["teacher"] = tuple(f"--teacher={self.folder(name) / 'teacher'}" for name in taught)
        reads = ("analyse", "distil", "export", *compared, *heard)
        return self._stage("report", self._plan.of("report"), wired, reads=reads)

    @property
    def report_path(self) -> Path:
        """Where the report lies once it is made."""
        return self.folder("report") / "report.html"

    @property
    def bundle_path(self) -> Path:
        """Where the bundle lies once it is built."""
        return self.folder("export") / "bundle"

    def _output(self, name: str, what: str) -> dict[str, tuple[str, ...]]:
        return {"output": (f"--output={self.folder(name) / what}",)}

    def _scores(self, name: str, role: str) -> Path:
        return self.folder(name) / f"{role}.safetensors"

    def _scoring(self, name: str) -> tuple[str, ...]:
        return tuple(f"--score={data}={self._scores(name, role)}" for role, data in self._scored().items())

    def _scored(self) -> dict[str, Path]:
        """The files that teachers score: all parts, and the student's transfer set."""
        found = {role: path for role in PARTS if (path := getattr(self.parts, role))}
        transfer = self._plan.of("distil").get("transfer")
        return found | ({"transfer": self._plan.folder / transfer} if isinstance(transfer, str) else {})
