"""What a challenger that was trained elsewhere has met, as far as its manifest tells.

Test rows that it learnt from are known by heart and flatter it, and so do those that its best weights were chosen on.
The first can be left out where the file that it learnt from is at hand; where it is another one, all that can be done
is to say so.
"""

from __future__ import annotations

from collections.abc import Sequence

from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.promotion.rows import RetrainingRows

TRAIN = "train"
LEARNT = (TRAIN, "old rows", "new rows", "transfer")
CHOSEN_ON = "dev"


def doubts_about(met: Sequence[DataFile], rows: RetrainingRows) -> tuple[str, ...]:
    """What may be wrong with a comparison on these rows, of a challenger that has `met` these files.

    Raises SettingError where it learnt from the test file itself, or was chosen on it.
    """
    for file in met:
        if file.sha256 != rows.test.sha256:
            continue
        if file.role in LEARNT or file.role == CHOSEN_ON:
            how = "was chosen on" if file.role == CHOSEN_ON else "learnt from"
            raise SettingError(
                f"--challenger {how} {rows.test.source} ({file.role}), the --test file; compare on other rows"
            )
    trained_on = [file for file in met if file.role == TRAIN]
    at_hand = {rows.train.sha256, *(file.sha256 for file in rows.files)}
    doubts = [
        f"the challenger learnt from {file.name} ({file.rows} rows), which is neither --train nor --new: test rows "
        "that stand in it are not left out, and flatter the challenger; name that file as --train"
        for file in trained_on
        if file.sha256 not in at_hand
    ]
    if not trained_on:
        doubts.append("the challenger's manifest does not say what it learnt from; test rows may be among it")
    return tuple(doubts)
