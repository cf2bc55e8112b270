"""Numbers that can be chosen, held against what they may be: a refusal names the option, the number and the range."""

from __future__ import annotations

import math

from kuaixun.trainer.errors import SettingError


def flag_of(name: str) -> str:
    """The option that sets a field.

    >>> flag_of("learning_rate")
    '--learning-rate'
    """
    return "--" + name.replace("_", "-")


def expect_numbers(
    settings: object,
    *names: str,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> None:
    """Raise SettingError for the first of these fields that is out of the range, or no finite number; None is unset."""
    says = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    wanted = " and ".join(f"{word} {bound}" for word, bound in says.items() if bound is not None)
    for name in names:
        number = getattr(settings, name)
        if number is None:
            continue
        is_within = (
            (at_least is None or number >= at_least)
            and (above is None or number > above)
            and (at_most is None or number <= at_most)
            and (below is None or number < below)
        )
        if not is_within:
            raise SettingError(f"{flag_of(name)} is {number}; it must be {wanted}")
        if number == math.inf:  # above every bound from below
            raise SettingError(f"{flag_of(name)} is {number}; it must be {wanted}, and finite")
