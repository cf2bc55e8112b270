"""What the worker says of itself, a line for each thing: for people on a terminal, as JSON for machines.

A JSON line has `timestamp` (RFC 3339, UTC), `level`, `logger`, `message`, and what else there is to know of it by
name, such as `model` or `partitions`; `exception` holds a traceback. Secrets are hidden where messages are made: the
line adds nothing to them.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

import msgspec

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# What the logging module itself puts into a record; all else came with the call.
_OWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_FIRST = ("timestamp", "level", "logger", "message")


class LogFormat(StrEnum):
    """How log lines look. Auto: text where standard error is a terminal, else JSON."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        fields = {name: value for name, value in vars(record).items() if name not in _OWN and name not in _FIRST}
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # What cannot be written as UTF-8, such as a file's name, is written with its escapes.
        return msgspec.json.encode(_writable(line), enc_hook=str).decode()


def _writable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {str(name): _writable(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_writable(one) for one in value]
    return value


def log_to(stream: TextIO, level: str, form: LogFormat) -> None:
    """Send everything of this severity and above there, unless it goes somewhere already."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if is_json(stream, form) else logging.Formatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def is_json(stream: TextIO, form: LogFormat) -> bool:
    """Whether lines to this stream are to be JSON."""
    return form is LogFormat.JSON or (form is LogFormat.AUTO and not stream.isatty())


def last_words(program: str, said: str, exit_code: int) -> None:
    """Say why the process ends, on standard error: as a line of the log where that is JSON, else as a paragraph."""
    if any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers):
        logging.getLogger(program).critical("%s", said, extra={"exit_code": exit_code})
    else:
        print(f"{program}: {said}", file=sys.stderr, flush=True)
