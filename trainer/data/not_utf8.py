"""Why a file of texts is not UTF-8, and what makes it so: the refusal of what the trainer cannot read."""

from __future__ import annotations

_UTF_32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WIDE = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")  # in this order: UTF-32 is UTF-16 too, full of NULs
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
    if advice := mending_of_wide(content):
        return advice
    if not content[: error.start].isascii():
        return "save the file as UTF-8"
    if _is_chinese(content):
        return "it may be GBK: convert it with iconv -f GB18030 -t UTF-8"
    return "its encoding is unknown, or it is damaged there: convert it with iconv -f ENCODING -t UTF-8"


def mending_of_wide(content: bytes) -> str | None:
    """What to do about UTF-16 or UTF-32, with a byte-order mark or without; None for a file that is neither.

    English in it without a mark is UTF-8 as well, each letter beside a NUL.

    >>> mending_of_wide("goal\\tsports\\n".encode("utf-16-le"))
    'it is UTF-16 without a byte-order mark: convert it with iconv -f UTF-16LE -t UTF-8'
    """
    for name, marks in (("UTF-32", _UTF_32_MARKS), ("UTF-16", _UTF_16_MARKS)):
        if content.startswith(marks):
            return f"it is {name}: convert it with iconv -f {name} -t UTF-8"
    if b"\0" not in content:
        return None
    for name in _WIDE:
        if _reads_as(content, name):
            return f"it is {name[:6]} without a byte-order mark: convert it with iconv -f {name} -t UTF-8"
    return None


def _reads_as(content: bytes, encoding: str) -> bool:
    """Whether it is lines in that encoding: most bytes that look like ends of lines or tabs are such in it too."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return False
    looking = content.count(b"\n") + content.count(b"\t")
    found = text.count("\n") + text.count("\t")
    return "\0" not in text and 2 * found >= looking > 0


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
