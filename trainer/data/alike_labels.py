"""Labels that look alike and are classes of their own: most often one class, written in two ways."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.repeats import rows_by_key


def alike_labels(labels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of labels that are equal once they are composed (NFC) and cleaned as texts are, case folded.

    >>> alike_labels(["Sports", "finance", "SPORTS", "finance\\u200b"])
    (('Sports', 'SPORTS'), ('finance', 'finance\\u200b'))
    """
    composed = [unicodedata.normalize("NFC", label) for label in labels]
    # Of a label that cleaning empties, such as an address, nothing is left to compare.
    keys = (cleaned or label for cleaned, label in zip(clean(composed), composed, strict=True))
    return tuple(tuple(labels[row] for row in rows) for rows in rows_by_key(keys).values() if len(rows) > 1)


def shown_apart(group: Sequence[str]) -> str:
    r"""Labels that look alike so that they do not: what is not seen is escaped, and so is all where it is seen as one.

    >>> shown_apart(["a", "a\u200b"]), shown_apart(["caf\xe9", "cafe\u0301"])
    ("'a', 'a\\u200b'", "'caf\\xe9', 'cafe\\u0301'")
    """
    same_signs = len({unicodedata.normalize("NFC", label) for label in group}) < len(group)
    return ", ".join(map(ascii if same_signs else repr, group))
