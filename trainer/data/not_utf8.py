"""Why a file of texts is not UTF-8, and what makes it so: the refusal of what the trainer cannot read."""

from __future__ import annotations

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LAST_COMMON_ROW = 0xD7


def mending(content: bytes, error: UnicodeDecodeError) -> str:
    """What to do about bytes that `error` says are not UTF-8.

    A file that is wrong from its first sign on has another encoding: the one that Chinese spreadsheets save, if that
    makes common characters of it; one that is right before the bad byte is damaged there.

    >>> gbk = "股市上涨".encode("gb18030")
    >>> try:
    ...     gbk.decode()
    ... except UnicodeDecodeError as error:
    ...     mending(gbk, error)
    'it may be GBK: convert it with iconv -f GB18030 -t UTF-8'
    """
    if content.startswith(_UTF_16_MARKS):
        return "it is UTF-16: convert it with iconv -f UTF-16 -t UTF-8"
    if not content[: error.start].isascii():
        return "save the file as UTF-8"
    if _is_chinese(content):
        return "it may be GBK: convert it with iconv -f GB18030 -t UTF-8"
    return "its encoding is unknown, or it is damaged there: convert it with iconv -f ENCODING -t UTF-8"


def _is_chinese(content: bytes) -> bool:
    """Whether, read as GB18030, most of what is not ASCII are common characters.

    Latin-1 decodes as well, but to rare characters: the common ones are the rows of GB 2312 up to 0xD7, before which
    the accented small letters of Latin-1 do not stand.
    """
    try:
        others = "".join(sign for sign in content.decode("gb18030") if not sign.isascii())
    except UnicodeDecodeError:
        return False
    rows = others.encode("gb2312", errors="ignore")[::2]
    return 2 * sum(row <= _LAST_COMMON_ROW for row in rows) > len(others)
