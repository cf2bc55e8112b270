"""Why a file of texts is not UTF-8, and what makes it so: the refusal of what the trainer cannot read."""

from __future__ import annotations

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def mending(content: bytes, error: UnicodeDecodeError) -> str:
    """What to do about bytes that `error` says are not UTF-8.

    A file that is wrong from its first sign on has another encoding, most likely the one that Chinese spreadsheets
    save; one that is right before the bad byte is damaged there.

    >>> gbk = "股市上涨".encode("gb18030")
    >>> try:
    ...     gbk.decode()
    ... except UnicodeDecodeError as error:
    ...     mending(gbk, error)
    'it may be GBK: convert it with iconv -f GB18030 -t UTF-8'
    """
    if content.startswith(_UTF_16_MARKS):
        return "it is UTF-16: convert it with iconv -f UTF-16 -t UTF-8"
    if content[: error.start].isascii() and _decodes(content, "gb18030"):
        return "it may be GBK: convert it with iconv -f GB18030 -t UTF-8"
    return "save the file as UTF-8"


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
