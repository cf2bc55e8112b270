"""Which bundle the link in a folder of bundles names, and what is taken in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kuaixun.export.bundle.file_names import WEIGHTS_FILE
from kuaixun.export.bundle.reader import open_bundle, read_manifest
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.promotion.bundle_folder import CURRENT, BundleFolder


def test_a_link_to_itself_names_no_bundle(tmp_path: Path) -> None:
    (tmp_path / CURRENT).symlink_to(CURRENT)
    with pytest.raises(SettingError, match=f"{CURRENT} names .* which is no folder in {tmp_path}; correct the link"):
        _ = BundleFolder(tmp_path).champion


@pytest.mark.parametrize("damage", ["cut short", "empty", "a file"])
def test_a_bundle_takes_the_place_of_a_damaged_one_of_its_name(home: Path, damage: str) -> None:
    name = read_manifest(home / "good").model_id
    place = home / "bundles" / name
    if damage == "a file":
        place.write_text("no bundle")
    elif damage == "empty":
        place.mkdir()
    else:
        shutil.copytree(home / "good", place)
        (place / WEIGHTS_FILE).write_bytes((place / WEIGHTS_FILE).read_bytes()[:-1])

    assert BundleFolder(home / "bundles").add(home / "good", name) == place

    assert open_bundle(place).manifest.model_id == name
    assert [path.name for path in (home / "bundles").iterdir()] == [name]


def test_a_whole_bundle_that_is_there_already_stays(home: Path) -> None:
    name = read_manifest(home / "good").model_id
    shutil.copytree(home / "good", home / "bundles" / name)

    BundleFolder(home / "bundles").add(home / "good", name)

    assert (home / "good").exists()
