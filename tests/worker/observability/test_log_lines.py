"""A line of JSON for each thing that is said, whatever it holds; text where a person reads it."""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import pty
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import ParamSpec

import pytest

from kuaixun.worker import cli
from kuaixun.worker.errors import BrokerUnreachableError, SettingError
from kuaixun.worker.observability.log_lines import JsonLines, LogFormat, is_json, last_words, log_to

LOG = logging.getLogger("kuaixun.test")
Given = ParamSpec("Given")


def with_no_other_log(test: Callable[Given, None]) -> Callable[Given, None]:
    """Run a test without the handlers that pytest has put in the root's place by then."""

    @functools.wraps(test)
    def run(*arguments: Given.args, **named: Given.kwargs) -> None:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        root.handlers.clear()
        try:
            test(*arguments, **named)
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)

    return run


@with_no_other_log
def test_a_line_has_when_how_bad_who_what_and_what_else() -> None:
    stream = io.StringIO()
    log_to(stream, "info", LogFormat.JSON)
    LOG.info("model %s takes over", "m1", extra={"model": "m1", "partitions": {"news": {1}}, "path": Path("/x")})
    LOG.debug("not this")
    line = json.loads(stream.getvalue())
    at = datetime.fromisoformat(line.pop("timestamp"))
    assert at.utcoffset() is not None
    assert line == {
        "level": "info",
        "logger": "kuaixun.test",
        "message": "model m1 takes over",
        "model": "m1",
        "partitions": {"news": [1]},
        "path": "/x",
    }


@with_no_other_log
def test_an_exception_and_a_text_of_many_lines_are_one_line() -> None:
    stream = io.StringIO()
    log_to(stream, "info", LogFormat.JSON)
    try:
        raise ValueError("坏\nbad")
    except ValueError:
        LOG.exception("two\nlines \x00 \udcff")
    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert line["message"] == "two\nlines \x00 \\udcff"
    assert "ValueError: 坏" in line["exception"]
    assert line["level"] == "error"


@with_no_other_log
def test_what_else_there_is_never_takes_the_place_of_the_message() -> None:
    stream = io.StringIO()
    log_to(stream, "info", LogFormat.JSON)
    LOG.info("said", extra={"level": "x", "timestamp": 1, "logger": "y", "weird": float("nan")})
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("info", "kuaixun.test", "said")


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as terminal:
        assert not is_json(terminal, LogFormat.AUTO)
        assert is_json(terminal, LogFormat.JSON)
    assert is_json(io.StringIO(), LogFormat.AUTO)
    assert not is_json(io.StringIO(), LogFormat.TEXT)


@with_no_other_log
def test_text_is_a_line_for_people() -> None:
    stream = io.StringIO()
    log_to(stream, "warning", LogFormat.TEXT)
    LOG.warning("careful", extra={"model": "m"})
    assert stream.getvalue().endswith(" WARNING kuaixun.test: careful\n")


@with_no_other_log
def test_last_words_are_a_line_of_the_log_where_that_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    last_words("kuaixun-worker", "it is over", 5)
    assert capsys.readouterr().err == "kuaixun-worker: it is over\n"
    log_to(sys.stderr, "error", LogFormat.JSON)
    last_words("kuaixun-worker", "it is over", 5)
    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["exit_code"], line["level"]) == ("it is over", 5, "critical")


@pytest.mark.parametrize("form", LogFormat)
@with_no_other_log
def test_the_command_says_why_it_ends_in_the_form_of_its_log(
    form: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--bootstrap-servers", "127.0.0.1:1", "--connect-seconds", "0.1", "--log-format", form]
    assert cli.main(["run", *flags]) == BrokerUnreachableError.exit_code
    lines = capsys.readouterr().err.splitlines()
    if form is LogFormat.TEXT:
        assert lines[-1].startswith("kuaixun-worker: ")
    else:
        assert json.loads(lines[-1])["exit_code"] == BrokerUnreachableError.exit_code
        assert all(map(json.loads, lines))
    assert "hunter2" not in "".join(lines)


@with_no_other_log
def test_secrets_are_hidden_in_json_as_they_are_in_text(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--bootstrap-servers", "127.0.0.1:1", "--connect-seconds", "0.1", "--log-format", "json"]
    cli.main(["run", *flags, "--kafka", "sasl.password=hunter2"])
    lines = capsys.readouterr().err
    assert "sasl.password=********" in lines
    assert "hunter2" not in lines


def test_a_wrong_setting_is_said_in_text_for_the_log_has_no_form_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--log-format", "xml"]) == SettingError.exit_code
    assert capsys.readouterr().err.startswith("kuaixun-worker: KUAIXUN_LOG_FORMAT or --log-format must be 'auto'")


def test_the_formatter_writes_what_cannot_be_encoded() -> None:
    record = logging.makeLogRecord({"msg": "x", "thing": {1: [b"\xff", "\udc80"]}})
    assert json.loads(JsonLines().format(record))["thing"]["1"][1] == "\\udc80"
