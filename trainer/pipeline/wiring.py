"""Which stages a plan has, in their order, and what each hands to the next.

split → analyse → baseline…
      ↘ the teachers (see teacher_wiring) → distil → export → prune → evaluate → report
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.command_options import Parsers
from kuaixun.trainer.pipeline.data_parts import COLUMNS, DataParts, data_settings, parts_of
from kuaixun.trainer.pipeline.named_sections import named_sections
from kuaixun.trainer.pipeline.plan import Plan, Settings
from kuaixun.trainer.pipeline.stage import EXPORT, Stage
from kuaixun.trainer.pipeline.stage_maker import PARTS, Build, Planned, StageMaker, Wired
from kuaixun.trainer.pipeline.suited_settings import baseline_settings, student_settings
from kuaixun.trainer.pipeline.teacher_wiring import TRANSFER, TeacherWiring

ANALYSIS_FILE = "analysis.json"


class Wiring:
    """The stages of a plan in the folder `work`. Raises SettingError for what no command would take."""

    def __init__(self, plan: Plan, work: Path, parsers: Parsers) -> None:
        self._plan, self._maker = plan, StageMaker(plan, work, parsers)
        self.work = self._maker.work
        self._data = data_settings(plan.of("data"))
        self.parts: DataParts = parts_of(self._data, plan.folder, self._maker.folder("split") / "parts", "split")
        self._teaching = TeacherWiring(plan, self._maker, self.parts)
        self._baselines = named_sections(plan, "baseline") or {"baseline": {}}
        self.analysis_path = self._maker.folder("analyse") / ANALYSIS_FILE
        self.stages = self._planned()

    def _planned(self) -> tuple[Planned, ...]:
        plan = self._plan
        stages = [Planned("split", False, self._split)] if "file" in self._data else []
        stages.append(Planned("analyse", False, self._analyse))
        if "baseline" not in plan.without:
            stages += [Planned(name, True, self._baseline(name, given)) for name, given in self._baselines.items()]
        stages += self._teaching.planned()
        stages += [Planned("distil", True, self._distil), Planned("export", False, self._export)]
        if plan.has("prune"):
            stages.append(Planned("prune", False, self._prune))
        if "evaluate" not in plan.without:
            stages.append(Planned("evaluate", False, self._evaluate))
        if "report" not in plan.without and self.parts.test:
            stages.append(Planned("report", False, self._report))
        return tuple(stages)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the plan leaves out without saying so."""
        if self.parts.test or "report" in self._plan.without:
            return ()
        return ("no report is made: it needs test, which [data] does not name; evaluate measures dev",)

    def _split(self, _: Analysis | None) -> Stage:
        settings = {name: value for name, value in self._data.items() if name != "file"}
        wired = {"data": (f"--data={self._data['file']}",)} | self._maker.output("split", "parts")
        stage = self._maker.make("split", settings, wired, shared=(*COLUMNS, "classes"))
        if str(settings.get("ratios", "::")).count(":") != 2:
            raise SettingError(f"[data] ratios is {settings['ratios']!r}; a run needs three parts, as in 8:1:1")
        return stage

    def _analyse(self, _: Analysis | None) -> Stage:
        wired = self.parts.wired(*PARTS) | {"json": ("--json",)}
        stage = self._maker.make("analyse", self._plan.of("analyse"), wired, parts=self.parts)
        return replace(stage, printed=ANALYSIS_FILE)

    def _baseline(self, name: str, settings: Settings) -> Build:
        def build(analysis: Analysis | None) -> Stage:
            wired = self.parts.wired(*PARTS) | self._maker.output(name, "figures")
            suited = baseline_settings(analysis, settings) if analysis else ()
            return self._maker.make(name, settings, wired, suited=suited, parts=self.parts)

        return build

    def _distil(self, analysis: Analysis | None) -> Stage:
        teaching, settings = self._teaching, dict(self._plan.of("distil"))
        wired: Wired = self.parts.wired(*PARTS) | self._maker.output("distil", "checkpoint")
        if self._plan.has("vary"):
            wired |= {TRANSFER: (f"--transfer={teaching.transfer}",)}
        reads: list[str] = ["vary"] if self._plan.has("vary") else []
        own = {"teacher-scores": "train"} | ({"transfer-scores": TRANSFER} if teaching.transfer else {})
        for option, role in own.items():
            heard = teaching.heard(option, role)
            reads += heard.reads
            settings.pop(option.replace("-", "_"), None)
            settings.pop(option, None)
            if heard.chosen:
                settings[option] = [argument.partition("=")[2] for argument in heard.arguments]
            else:
                wired |= {option: heard.arguments}
        suited = student_settings(analysis, settings) if analysis else ()
        return self._maker.make(
            "distil",
            settings,
            wired,
            suited=suited,
            parts=self.parts,
            shared=tuple(own),
            reads=tuple(dict.fromkeys(reads)),
        )

    def _export(self, _: Analysis | None) -> Stage:
        places = (str(self._maker.folder("distil") / "checkpoint"), str(self._whole_bundle))
        settings = self._plan.of("export")
        return self._maker.make(
            "export", settings, {}, command="build", program=EXPORT, positional=places, reads=("distil",)
        )

    def _prune(self, _: Analysis | None) -> Stage:
        wired = self.parts.wired(*PARTS, classes=False) | self._maker.output("prune", "bundle")
        wired["bundle"] = (f"--bundle={self._whole_bundle}",)
        return self._maker.make("prune", self._plan.of("prune"), wired, parts=self.parts, reads=("export",))

    def _evaluate(self, _: Analysis | None) -> Stage:
        role, teaching = "test" if self.parts.test else "dev", self._teaching
        wired = self.parts.wired("train", classes=False) | self._maker.output("evaluate", "figures")
        wired["data"] = (f"--data={getattr(self.parts, role)}",)
        wired["bundle"] = (f"--bundle={self.bundle_path}",)
        wired["scores"] = tuple(f"--scores={teaching.scores(name, role)}" for name in teaching.models)
        reads = (self._last, *(teaching.scorer(name, role) for name in teaching.models))
        settings = self._plan.of("evaluate")
        if role == "test" and {"target-accuracy", "target_accuracy"} & set(settings):
            wired |= self.parts.wired("dev", classes=False)  # a threshold chosen on test would flatter there
        return self._maker.make("evaluate", settings, wired, parts=self.parts, added=("bundle", "scores"), reads=reads)

    def _report(self, _: Analysis | None) -> Stage:
        named: dict[str, Path] = {"bundle": self.bundle_path, "analysis": self.analysis_path}
        named |= {"run": self._maker.folder("distil") / "checkpoint", "output": self.report_path}
        wired = self.parts.wired(*PARTS, classes=False) | {name: (f"--{name}={path}",) for name, path in named.items()}
        compared = () if "baseline" in self._plan.without else tuple(self._baselines)
        wired["baselines"] = tuple(f"--baselines={self._maker.folder(name) / 'figures'}" for name in compared)
        teaching = self._teaching
        wired["scores"] = tuple(f"--scores={teaching.scores(name, 'test')}" for name in teaching.models)
        wired["teacher"] = tuple(f"--teacher={teaching.model(name)}" for name in teaching.teachers)
        scorers = tuple(teaching.scorer(name, "test") for name in teaching.models)
        reads = dict.fromkeys(("analyse", "distil", self._last, *compared, *teaching.teachers, *scorers))
        settings = self._plan.of("report")
        return self._maker.make("report", settings, wired, parts=self.parts, reads=tuple(reads))

    @property
    def report_path(self) -> Path:
        """Where the report lies once it is made."""
        return self._maker.folder("report") / "report.html"

    @property
    def bundle_path(self) -> Path:
        """Where the bundle that serves lies once it is made."""
        return self._maker.folder(self._last) / "bundle"

    @property
    def _last(self) -> str:
        """The stage that makes it."""
        return "prune" if self._plan.has("prune") else "export"

    @property
    def _whole_bundle(self) -> Path:
        return self._maker.folder("export") / "bundle"
