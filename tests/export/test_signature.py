"""Bundles signed by their maker: where a public key is set, nothing else is opened."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kuaixun.export import BundleSignatureError, KeyFileError, open_classifier
from kuaixun.export.bundle import reader
from kuaixun.export.bundle.file_names import MANIFEST_FILE, WEIGHTS_FILE
from kuaixun.export.bundle.reader import open_bundle, sign_bundle
from kuaixun.export.bundle.signature import SIGNATURE_FILE
from kuaixun.export.cli import main
from kuaixun.export.errors import BundleTamperedError
from kuaixun.schemas.manifest import FileEntry
from tests.export.hostile_bundles import rewrite


class Keys:
    """A key pair in files."""

    def __init__(self, folder: Path, name: str) -> None:
        key = Ed25519PrivateKey.generate()
        self.private, self.public = folder / f"{name}.pem", folder / f"{name}.public.pem"
        self.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture
def makers(tmp_path: Path) -> Keys:
    return Keys(tmp_path, "maker")


@pytest.fixture
def signed(bundle_path: Path, makers: Keys, tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "signed"))
    sign_bundle(copy, makers.private)
    return copy


def test_a_bundle_signed_by_its_maker_serves_and_without_a_key_nobody_asks(signed: Path, makers: Keys) -> None:
    assert open_classifier(signed, public_key=makers.public).labels == open_classifier(signed).labels
    (signed / SIGNATURE_FILE).write_bytes(b"rubbish")
    open_bundle(signed)


def test_an_unsigned_bundle_is_refused(bundle_path: Path, makers: Keys) -> None:
    with pytest.raises(BundleSignatureError, match=f"not signed: it has no {SIGNATURE_FILE}"):
        open_classifier(bundle_path, public_key=makers.public)
    with pytest.raises(BundleSignatureError, match="not signed"):
        open_classifier(public_key=makers.public)


def test_a_bundle_signed_by_another_is_refused(signed: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleSignatureError, match="no signature of this manifest by the owner of"):
        open_bundle(signed, Keys(tmp_path, "other").public)


def test_another_manifest_that_agrees_with_itself_is_refused(signed: Path, makers: Keys) -> None:
    rewrite(signed, {}, created_at="2020-01-01T00:00:00+00:00")
    open_bundle(signed)
    with pytest.raises(BundleSignatureError, match="altered"):
        open_bundle(signed, makers.public)


def test_one_byte_of_any_file_is_enough(signed: Path, makers: Keys) -> None:
    weights = bytearray((signed / WEIGHTS_FILE).read_bytes())
    weights[-1] ^= 1
    (signed / WEIGHTS_FILE).write_bytes(weights)
    with pytest.raises(BundleTamperedError, match=WEIGHTS_FILE):
        open_bundle(signed, makers.public)


def test_what_is_signed_is_what_was_checked(
    bundle_path: Path, makers: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    checked = (copy / MANIFEST_FILE).read_bytes()

    def replaced_meanwhile(path: Path, name: str, entry: FileEntry) -> None:
        rewrite(copy, {}, created_at="2020-01-01T00:00:00+00:00")

    monkeypatch.setattr(reader, "check_file", replaced_meanwhile)
    sign_bundle(copy, makers.private)
    monkeypatch.undo()
    with pytest.raises(BundleSignatureError, match="altered"):
        open_bundle(copy, makers.public)
    (copy / MANIFEST_FILE).write_bytes(checked)
    open_bundle(copy, makers.public)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\xff" * 88, b"AAAA\n", base64.b64encode(bytes(64)), base64.b64encode(bytes(65)), b"A" * 2000],
)
def test_what_is_no_signature_is_refused(signed: Path, makers: Keys, content: bytes) -> None:
    (signed / SIGNATURE_FILE).write_bytes(content)
    with pytest.raises((BundleSignatureError, BundleTamperedError), match=SIGNATURE_FILE):
        open_bundle(signed, makers.public)


def test_openssl_makes_the_keys_and_agrees_with_the_signature(signed: Path, makers: Keys, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to compare with")
    key, public, raw = (str(tmp_path / name) for name in ("key.pem", "public.pem", "raw"))
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    sign_bundle(signed, Path(key))
    open_bundle(signed, Path(public))
    Path(raw).write_bytes(base64.b64decode((signed / SIGNATURE_FILE).read_bytes()))
    verify = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-sigfile", raw]
    subprocess.run([*verify, "-in", str(signed / MANIFEST_FILE)], check=True)


@pytest.mark.parametrize("kind", ["missing", "rubbish", "rsa", "private"])
def test_what_is_no_key_is_said_by_name_and_never_shown(signed: Path, makers: Keys, tmp_path: Path, kind: str) -> None:
    key = tmp_path / kind
    if kind == "rubbish":
        key.write_text("hunter2", "utf-8")
    elif kind == "rsa":
        rsa = generate_private_key(65537, 2048)
        key.write_bytes(rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    elif kind == "private":
        key.write_bytes(makers.private.read_bytes())
    with pytest.raises(KeyFileError, match=str(key)) as refused:
        open_bundle(signed, key)
    with pytest.raises(KeyFileError):
        sign_bundle(signed, makers.public if kind == "private" else key)
    assert "hunter2" not in str(refused.value)


def test_the_commands_sign_and_verify(
    bundle_path: Path, makers: Keys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    vouched = ["--bundle", str(copy), "--public-key", str(makers.public)]
    assert main(["verify", *vouched]) == BundleSignatureError.exit_code
    assert "is not signed" in capsys.readouterr().err
    assert main(["sign", "--bundle", str(copy), "--key", str(makers.private)]) == 0
    assert sorted(path.name for path in copy.iterdir()) == sorted([*json_files(copy), MANIFEST_FILE, SIGNATURE_FILE])
    assert main(["verify", *vouched]) == 0
    assert main(["verify", "--bundle", str(copy), "--public-key", str(makers.private)]) == KeyFileError.exit_code
    assert "PRIVATE KEY" not in capsys.readouterr().err


def json_files(bundle: Path) -> list[str]:
    return list(json.loads((bundle / MANIFEST_FILE).read_bytes())["files"])


def test_nothing_of_cryptography_is_imported_where_no_key_is_set() -> None:
    program = "import sys, kuaixun.export as e; e.open_classifier(); print('cryptography' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
