"""Who made a bundle: an ed25519 signature (RFC 8032) over the bytes of its manifest, which holds every file's SHA-256.

Optional. Where a public key is set, a bundle without a signature of its own maker is refused before anything of it is
parsed. Keys are PEM files as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them. Only what is
asked to sign or to verify imports `cryptography`.
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from kuaixun.export.errors import BundleSignatureError, KeyFileError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_FILE = "manifest.json.sig"
SIGNATURE_BYTES = 64
SIGNATURE_FILE_LIMIT_BYTES = 1024
_MAKE_KEY = "Make one with `openssl genpkey -algorithm ed25519 -out key.pem`"


def sign(manifest: bytes, private_key: Path) -> bytes:
    """The signature file of a manifest: base64 and a newline. Raises KeyFileError."""
    return base64.b64encode(_private_key(private_key).sign(manifest)) + b"\n"


def check_signature(manifest: bytes, signature_file: bytes | None, public_key: Path, bundle: Path) -> None:
    """Raise BundleSignatureError unless the key's owner signed this manifest; KeyFileError where there is no such key.

    `signature_file` is None where the bundle has none.
    """
    key = _public_key(public_key)
    from cryptography.exceptions import InvalidSignature

    if signature_file is None:
        raise BundleSignatureError(
            f"the bundle {bundle} is not signed: it has no {SIGNATURE_FILE}, and {public_key} is set to vouch for "
            "bundles. Have its maker sign it: kuaixun-export sign --key KEY --bundle BUNDLE"
        )
    try:
        signature = base64.b64decode(signature_file.removesuffix(b"\n"), validate=True)
        if len(signature) != SIGNATURE_BYTES:
            raise InvalidSignature
        key.verify(signature, manifest)
    except (binascii.Error, InvalidSignature):
        raise BundleSignatureError(
            f"{bundle / SIGNATURE_FILE} is no signature of this manifest by the owner of {public_key}: the bundle was "
            "altered, or signed with another key. Do not serve it before you know which."
        ) from None


def _private_key(path: Path) -> Ed25519PrivateKey:
    content = _key_file(path)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own words may hold a part of the file.
        raise KeyFileError(f"{path} is no private key in PEM without a password. {_MAKE_KEY}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a private key that is not ed25519. {_MAKE_KEY}")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    content = _key_file(path)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    advice = "Write it with `openssl pkey -in key.pem -pubout -out public.pem`"
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} is no public key in PEM. {advice}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} holds a public key that is not ed25519. {advice}")
    return key


def _key_file(path: Path) -> bytes:
    if importlib.util.find_spec("cryptography") is None:
        raise KeyFileError("signatures need cryptography, which is not installed: pip install 'kuaixun[signing]'")
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"the key {path} cannot be read: {error.strerror}") from error
