"""Rows in batches."""

from __future__ import annotations

from kuaixun.export.batches import in_batches


def test_batches_cover_all_rows_in_order() -> None:
    assert [list(batch) for batch in in_batches([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
