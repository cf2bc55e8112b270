"""Golden cases: what the exporter's reference answered, which every engine must answer again before it serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from kuaixun.export.engine.interface import Engine, Scorer
from kuaixun.export.errors import GoldenCaseError
from kuaixun.export.plain_json import read_plain_json
from kuaixun.export.printable import shortened
from kuaixun.export.text.pipeline import TextPipeline

# Written for this purpose: every class of the default bundle, every pattern, every kind of code point, and nothing.
GOLDEN_TEXTS = (
    "央行宣布下调存款准备金率0.5个百分点",
    "城南新盘开盘当日售出三百套 均价每平米两万二",
    "沪指午后拉升收涨1.2% 券商股领涨",
    "2026年高考报名今日启动 多省公布时间表",
    "新款折叠屏手机发布 续航提升三成",
    "男子雨夜勇救落水儿童 街坊凑钱送锦旗",
    "两国外长举行会谈 就气候合作达成共识",
    "主队加时绝杀晋级四强 门将扑出点球",
    "经典网游推出怀旧服 玩家排队三小时",
    "新片票房破十亿 导演感谢观众",
    "<em>股票</em>大涨&nbsp;&amp;&#20013;&#x56FD;概念股<br/>走强",
    "点击 https://news.example.com/a?id=1&b=2 查看，或 www.example.com/直播",
    "投稿请发 editor@example.com 谢谢",
    "ＡＢＣ　１２３：（全角）ｉＰｈｏｎｅ",
    "🏀🎉湖人👍🏽赢了❤️",
    "零\u200b宽\ufeff字\u00ad符\u0301与\ue000私用",
    "  多   个\t空\n格  ",
    "",
    "   \u3000",
    "a",
    "中",
    "\ufffd\ufffd锟斤拷烫烫烫",
    "𠮷野家𪚥龘",
    "㈱½㎡™ﬁ①",
    "<未闭合的标签 5<6>3 &unknown; &#0; &#1114111; &#9999999;",
    "很长的标题" * 20,
)

QUOTED_CHARACTERS = 200


class GoldenCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A raw text, what cleaning makes of it, its token ids without padding, and its logits in label order."""

    text: str
    cleaned: str
    ids: tuple[Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)], ...]
    logits: tuple[float, ...]


def record_golden(texts: Sequence[str], pipeline: TextPipeline, reference: Engine) -> tuple[GoldenCase, ...]:
    """Answer the texts with the reference engine, in one batch."""
    encoded = pipeline.encode(texts)
    rows = zip(texts, pipeline.clean(texts), encoded.ids, reference.logits(encoded), strict=True)
    return tuple(
        GoldenCase(
            text=text, cleaned=cleaned, ids=tuple(np.trim_zeros(ids, "b").tolist()), logits=tuple(logits.tolist())
        )
        for text, cleaned, ids, logits in rows
    )


def golden_to_file(cases: Sequence[GoldenCase]) -> bytes:
    """One JSON object a line."""
    return b"".join(msgspec.json.encode(case) + b"\n" for case in cases)


def golden_from_file(content: bytes, classes: int) -> tuple[GoldenCase, ...]:
    """Read what `golden_to_file` wrote. Raises ValueError or msgspec.DecodeError."""
    if not content:
        raise ValueError("it holds no case, so nothing would be checked")
    cases = []
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        read_plain_json(line)
        case = msgspec.json.decode(line, type=GoldenCase)
        if len(case.logits) != classes:
            raise ValueError(f"line {number} has {len(case.logits)} logits for {classes} labels")
        cases.append(case)
    return tuple(cases)


def check_golden(cases: Sequence[GoldenCase], pipeline: TextPipeline, engine: Scorer, where: Path) -> float:
    """Run the cases through pipeline and engine, one by one and in one batch.

    Returns the largest logit difference. Raises GoldenCaseError for a case whose cleaned text, ids or logits differ.
    """
    texts = [case.text for case in cases]
    batch = engine.logits(pipeline.encode(texts))
    largest = 0.0
    for number, (case, cleaned, in_batch) in enumerate(zip(cases, pipeline.clean(texts), batch, strict=True), start=1):
        encoded = pipeline.encode([case.text])
        place = f"golden case {number} of {where} on the engine {engine.name}"
        if cleaned != case.cleaned:
            raise GoldenCaseError(f"{place}: the text cleans to {_quoted(cleaned)}, not to {_quoted(case.cleaned)}")
        if tuple(np.trim_zeros(encoded.ids[0], "b").tolist()) != case.ids:
            raise GoldenCaseError(f"{place}: the token ids of {_quoted(cleaned)} differ")
        for logits in (in_batch, engine.logits(encoded)[0]):
            difference = float(np.abs(logits - np.array(case.logits)).max())
            if not difference <= engine.logit_tolerance:  # a NaN is refused too
                raise GoldenCaseError(
                    f"{place}: logits differ by {difference:.2g}; at most {engine.logit_tolerance:.2g} is allowed"
                )
            largest = max(largest, difference)
    return largest


def _quoted(text: str) -> str:
    return repr(shortened(text, QUOTED_CHARACTERS))
