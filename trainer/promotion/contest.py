"""Champion against challenger, served as a worker serves them, on the same rows."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import msgspec

from kuaixun.export import Classifier
from kuaixun.export.durable_file import write_durably
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.evaluation.measurement import Answers, Measurement, measure
from kuaixun.trainer.promotion.bundle_folder import BundleFolder
from kuaixun.trainer.promotion.verdict import Verdict, judge


class ContestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is written beside a challenger: who met, on how many rows, the verdict and every figure of both.

    `seen_test_rows` were left out of the comparison, because they stand among the rows that were learnt from; `doubts`
    say where more of them may.
    """

    champion: str
    challenger: str
    test_rows: int
    seen_test_rows: int
    superseded_rows: int
    doubts: tuple[str, ...]
    verdict: Verdict
    measurement: Measurement


def expect_same_meaning(champion: Classifier, challenger: Classifier) -> None:
    """Raise SettingError where an id would no longer mean the class that it means now."""
    known = champion.labels
    if challenger.labels[: len(known)] != known:
        raise SettingError(
            f"the challenger's labels {', '.join(challenger.labels)} do not begin with the champion's, "
            f"{', '.join(known)}; whoever reads label ids would be misled: train it with classes in that order"
        )


def contest(
    champion: Classifier,
    challenger: Classifier,
    test: LabelledTexts,
    *,
    margin: float,
    seed: int,
    seen: int = 0,
    superseded: int = 0,
    doubts: tuple[str, ...] = (),
) -> ContestRecord:
    """Let both label the rows, whose labels are the challenger's, and judge."""
    said = [one.classify(test.texts) for one in (champion, challenger)]
    verdict = judge(
        test.label_ids,
        said[0].label_ids,
        said[1].label_ids,
        test.labels,
        len(champion.labels),
        margin=margin,
        seed=seed,
    )
    figures = measure((Answers("challenger", said[1], challenger.model_id),), test, seed=seed)
    return ContestRecord(
        champion=champion.model_id,
        challenger=challenger.model_id,
        test_rows=len(test),
        seen_test_rows=seen,
        superseded_rows=superseded,
        doubts=doubts,
        verdict=verdict,
        measurement=figures,
    )


def settle(bundles: BundleFolder, bundle: Path, record: ContestRecord) -> Path:
    """Take a challenger into the folder with its record, and promote it where the verdict says so.

    The record comes first: a bundle that serves always says why. That of an earlier contest keeps a number.
    """
    content = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    path = bundles.path / f"{record.challenger}.json"
    if path.exists() and (earlier := path.read_bytes()) != content:
        write_durably(_first_free(path), earlier)
    write_durably(path, content)
    place = bundles.add(bundle, record.challenger)
    if record.verdict.promoted:
        bundles.promote(record.challenger)
    return place


def _first_free(record: Path) -> Path:
    """ID.1.json, or the next number that no earlier record has."""
    numbered = (record.with_suffix(f".{number}{record.suffix}") for number in count(1))
    return next(path for path in numbered if not path.exists())
