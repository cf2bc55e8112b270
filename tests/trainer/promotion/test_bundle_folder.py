"""Which bundle the link in a folder of bundles names."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.promotion.bundle_folder import CURRENT, BundleFolder


def test_a_link_to_itself_names_no_bundle(tmp_path: Path) -> None:
    (tmp_path / CURRENT).symlink_to(CURRENT)
    with pytest.raises(SettingError, match=f"{CURRENT} names .* which is no folder in {tmp_path}; correct the link"):
        _ = BundleFolder(tmp_path).champion
