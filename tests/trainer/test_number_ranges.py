"""No setting is a number without end, and each refusal names its option."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from kuaixun.trainer.encoder.pretraining_settings import PretrainSettings
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.number_ranges import expect_numbers
from kuaixun.trainer.teacher.settings import TeacherSettings
from kuaixun.trainer.words.skipgram import SkipgramSettings
from kuaixun.trainer.words.variants import VariantSettings

REAL = [
    pytest.param(settings, field.name, id=f"{type(settings).__name__}.{field.name}")
    for settings in (
        FitSettings(),
        TeacherSettings(),
        PretrainSettings(minutes=1.0),
        SkipgramSettings(),
        VariantSettings(),
    )
    for field in dataclasses.fields(settings)
    if "float" in str(field.type)
]


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(("settings", "name"), REAL)
def test_what_is_no_finite_number_is_refused_by_its_option(settings: Any, name: str, number: float) -> None:
    with pytest.raises(SettingError, match=f"--{name.replace('_', '-')} is {number}; it must be "):
        dataclasses.replace(settings, **{name: number})


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A setting that may be left unset."""

    highest_rate: float | None


@pytest.mark.parametrize("number", [None, 0.5, 2])
def test_a_number_within_its_range_or_none_at_all_is_taken(number: float | None) -> None:
    expect_numbers(Chosen(number), "highest_rate", above=0, at_most=2)


@pytest.mark.parametrize(
    ("number", "range_", "says"),
    [
        (0, {"above": 0}, "--highest-rate is 0; it must be above 0"),
        (1, {"at_least": 0, "below": 1}, "--highest-rate is 1; it must be at least 0 and below 1"),
        (0, {"at_least": 1, "at_most": 1 << 20}, "--highest-rate is 0; it must be at least 1 and at most 1048576"),
        (math.inf, {"above": 0}, "--highest-rate is inf; it must be above 0, and finite"),
    ],
)
def test_a_refusal_names_the_option_the_number_and_the_range(
    number: float, range_: dict[str, float], says: str
) -> None:
    with pytest.raises(SettingError) as caught:
        expect_numbers(Chosen(number), "highest_rate", **range_)

    assert str(caught.value) == says
