"""Tokens of the operator's own source: how long each lives, and what is no token."""

from __future__ import annotations

import base64
import json
import shlex
import sys

import pytest

from kuaixun.worker.access_token import UNKNOWN_LIFE_SECONDS, TokenSource
from kuaixun.worker.errors import AccessRefusedError

NOW = 1000.0
SECRET = "hunter2"  # noqa: S105


def printing(text: str) -> str:
    return shlex.join([sys.executable, "-c", f"print({text!r})"])


def jwt(**claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.c2ln"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("opaque", ("opaque", NOW + UNKNOWN_LIFE_SECONDS)),
        (jwt(exp=4321), (jwt(exp=4321), 4321)),
        (jwt(sub="me"), (jwt(sub="me"), NOW + UNKNOWN_LIFE_SECONDS)),
        ("a.%%%.c", ("a.%%%.c", NOW + UNKNOWN_LIFE_SECONDS)),
        ('{"access_token": "t", "expires_in": 60}', ("t", NOW + 60)),
        ('{"access_token": "t"}', ("t", NOW + UNKNOWN_LIFE_SECONDS)),
    ],
)
def test_a_token_lives_as_long_as_it_or_its_issuer_says(said: str, expected: tuple[str, float]) -> None:
    assert TokenSource(printing(said), lambda: NOW)() == expected


@pytest.mark.parametrize(
    "source",
    [
        printing(""),
        printing(f"{SECRET} and more"),
        printing(f'{{"error": "{SECRET}"}}'),
        printing(f'{{"access_token": ["{SECRET}"]}}'),
        printing(f"{{{SECRET}"),
        shlex.join([sys.executable, "-c", f"raise SystemExit('{SECRET}')"]),
        f"no-such-command --secret {SECRET}",
        f"'{SECRET}",
        "no.such.module:token",
        "os:getcwdb",
        " ",
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(source: str) -> None:
    with pytest.raises(AccessRefusedError, match="KUAIXUN_OAUTH_TOKEN_SOURCE") as refused:
        TokenSource(source)()
    assert SECRET not in str(refused.value)
