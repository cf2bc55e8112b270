"""Tokens for SASL/OAUTHBEARER, from wherever the operator has them: a command, or a function of a module.

The client asks when it connects and again before a token expires, from a thread of its own.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kuaixun.worker.errors import AccessRefusedError

SETTING = "KUAIXUN_OAUTH_TOKEN_SOURCE"
COMMAND_SECONDS = 30.0
UNKNOWN_LIFE_SECONDS = 300.0
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class TokenSource:
    """Calls the operator's source. `clock` is the time in seconds of the epoch.

    What the source gives is a token, or the JSON of a token endpoint (RFC 6749, section 5.1: `access_token`,
    `expires_in`). How long a bare token lives is read from its `exp` where it is a JWT (RFC 7519, section 4.1.4), and
    taken for five minutes where it is not.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.time) -> None:
        self._source, self._clock = source, clock

    def __call__(self) -> tuple[str, float]:
        """A token and when it expires. Blocks; raises AccessRefusedError, which repeats nothing the source said."""
        said = self._from_function() if _FUNCTION.fullmatch(self._source) else self._from_command()
        token, life_seconds = said.strip(), None
        if token.startswith("{"):
            answer = _json(token.encode())
            found, life_seconds = answer.get("access_token"), answer.get("expires_in")
            token = found if isinstance(found, str) else ""
        if not token or not token.isascii() or any(letter.isspace() for letter in token):
            raise _refusal("gave no token: it must print one, or JSON with access_token and expires_in")
        if isinstance(life_seconds, int | float):
            return token, self._clock() + life_seconds
        expires_at = _claims(token).get("exp")
        return token, expires_at if isinstance(expires_at, int | float) else self._clock() + UNKNOWN_LIFE_SECONDS

    def _from_command(self) -> str:
        try:
            done = subprocess.run(
                shlex.split(self._source),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise _refusal(f"ended with exit code {error.returncode}; run it by hand to see what it says") from None
        except subprocess.TimeoutExpired:
            raise _refusal(f"gave no token within {COMMAND_SECONDS:g} s") from None
        except (OSError, ValueError, IndexError) as error:
            raise _refusal(f"cannot be run ({type(error).__name__})") from None
        return done.stdout

    def _from_function(self) -> str:
        module, _, name = self._source.partition(":")
        try:
            said = getattr(importlib.import_module(module), name)()
        except Exception as error:
            # Its message may hold what was sent to the token's issuer.
            raise _refusal(f"failed with {type(error).__name__}") from None
        if not isinstance(said, str):
            raise _refusal(f"returned {type(said).__name__}, not a text")
        return said


def _refusal(what: str) -> AccessRefusedError:
    return AccessRefusedError(f"What {SETTING} names {what}.")


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        answer = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _claims(token: str) -> Mapping[str, Any]:
    """What a JWT says of itself, nothing where it is none. It is the broker's to verify."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        return _json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
