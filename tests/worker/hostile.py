"""Payloads that nobody should send, each with the outcome it deserves, written down independently of the worker."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from kuaixun.schemas.dead_letter import DeadLetterReason

# More than the client sends, whose limit counts before compression.
HUGE_BYTES = 1_200_000


@dataclass(frozen=True, slots=True)
class Hostile:
    """`reason` is that of the dead letter, or None for a payload that must be labelled or, without a value, passed."""

    value: bytes | None
    reason: DeadLetterReason | None = None


def hostile_payloads(count: int, seed: int, huge: int) -> list[Hostile]:
    """So many payloads of all kinds, `huge` of them of a megabyte and more, shuffled. The seed repeats them."""
    rng = random.Random(seed)
    kinds = [_not_utf8, _not_json, _not_an_event, _nothing_to_read, _odd_but_fine, _without_value]
    payloads = [rng.choice(kinds)(rng) for _ in range(count - huge)]
    payloads += [_of_a_megabyte(rng) for _ in range(huge)]
    rng.shuffle(payloads)
    return payloads


def _event(title: str, **fields: object) -> bytes:
    return json.dumps({"id": "h", "title": title, **fields}, ensure_ascii=False).encode()


def _not_utf8(rng: random.Random) -> Hostile:
    beginning = _event("央行降准" * rng.randint(1, 5))[:-2]
    damage = rng.choice([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8", "新闻".encode("gbk")])
    return Hostile(beginning + damage + rng.choice([b'"}', b"", b"\x00"]), DeadLetterReason.INVALID_UTF8)


def _not_json(rng: random.Random) -> Hostile:
    whole = _event("主队晋级", extra={"a": [1, 2]})
    cut = whole[: rng.randrange(len(whole))].decode("utf-8", "ignore").encode()
    depth = rng.choice([200, 5_000, 100_000])
    made = [
        cut,
        whole + b"}",
        whole.replace(b'"', b"'"),
        whole.replace("主".encode(), b"\x01"),  # a bare control character
        b'{"id": "h", "title": "\\ud800"}',  # half a surrogate pair
        b'{"id": "h", "title": "\\x41"}',
        b'{"id": "h", "title": NaN}',
        b"[" * depth,
        b'{"id": "h", "title": "t", "a": ' + b"[" * depth + b"]" * depth + b"}",
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"",
        b"\x00" * rng.randint(1, 50),
        b"\xef\xbb\xbf" + whole,
    ]
    return Hostile(rng.choice(made), DeadLetterReason.INVALID_JSON)


def _not_an_event(rng: random.Random) -> Hostile:
    wrong: list[object] = [
        None,
        True,
        7,
        1.5,
        "央行降准",
        [],
        [{"id": "h", "title": "t"}],
        {},
        {"id": "h"},
        {"title": "t"},
        {"id": "", "title": "t"},
        {"id": 7, "title": "t"},
        {"id": "h", "title": None},
        {"id": "h", "title": ["t"]},
        {"id": "h", "title": {"text": "t"}},
        {"id": "h", "title": "t", "published_at": "昨天"},
        {"id": "h", "title": "t", "published_at": "2026-01-01T00:00:00"},  # no offset: which instant?
        {"id": "h", "title": "t", "url": 1},
        {"id": "h", "title": "t", "extra": "e"},
        {"ID": "h", "Title": "t"},
    ]
    return Hostile(json.dumps(rng.choice(wrong), ensure_ascii=False).encode(), DeadLetterReason.INVALID_EVENT)


def _nothing_to_read(rng: random.Random) -> Hostile:
    nothing = [
        "",
        " ",
        "\u3000\t\n",
        "<br/><p></p>",
        "&nbsp;&#0;",
        "\u200b\ufeff",
        "🎉🇨🇳",
        "\ufffd" * 9,
        "\ue000\U000f0000",
    ]
    return Hostile(_event(rng.choice(nothing) * rng.randint(1, 3)), DeadLetterReason.EMPTY_TITLE)


def _odd_but_fine(rng: random.Random) -> Hostile:
    pieces = [
        "央行",
        "Ａ",
        "\u0000",
        "\u202e",
        "é",
        "<b>",
        "&amp;",
        "http://x.cn/",
        "😀",
        "\\u4e2d",
        '"',
        "\\",
        "﷽",
        "𠮷",
        "\u0301" * 50,
    ]
    title = "降准" + "".join(rng.choice(pieces) for _ in range(rng.randint(0, 40)))
    fields: dict[str, object] = rng.choice(
        [
            {},
            {"id": "长" * 300},
            {"n": 10**18, "f": 1e308, "deep": [[[[[]]]]]},
            {"extra": {"a": {"b": None}}, "b": [1, "x"]},
            {"published_at": "2026-01-01T00:00:00+08:00", "body": "正文" * 500, "language": ""},
        ]
    )
    whole = _event(title, **fields)
    spelt: list[Callable[[], bytes]] = [
        lambda: whole,
        lambda: json.dumps(json.loads(whole)).encode(),  # every character escaped, pairs of surrogates too
        lambda: b" \n\t" + whole + b"\r\n",
        lambda: whole[:-1] + b', "title": "\\u592e\\u884c"}',  # a field given twice: the last one counts
    ]
    return Hostile(rng.choice(spelt)())


def _without_value(_rng: random.Random) -> Hostile:
    return Hostile(None)


def _of_a_megabyte(rng: random.Random) -> Hostile:
    title = rng.choice(["降准", "a", "<b>", "&", "<" * 7, "\u200b降"])
    filler = title * (HUGE_BYTES // len(title.encode()))
    if rng.random() < 0.5:
        return Hostile(_event("短", body=filler))
    return Hostile(_event("降准" + filler), DeadLetterReason.OUTPUT_TOO_LARGE)
