"""The commands of a Markdown page, as a reader would run them: from the top, at the root of the checkout.

- A fence marked `sh` holds a script; it must succeed.
- A fence marked `console` holds commands after `$ ` and, under them, what they print; `…` stands for any text.
- A fence marked `sh service` holds one command that runs until Ctrl-C, beside all that follow on the page.

Other fences are not run; `tests.readme.shown` finds the commands in them. Nobody can run a command with a gap to fill
in, so such gaps are errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```[ \t]*$", re.MULTILINE | re.DOTALL
)
_GAP = re.compile(r"<[A-Za-z][\w -]*>|/path/to\b|\bYOUR_|\.\.\.|…")


class UnrunnableBlockError(Exception):
    """A block that the convention does not allow; the message names its line."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fence: `script` is what bash runs, `output` what it must print (None: anything), `line` where it opens."""

    line: int
    script: str
    output: str | None = None
    service: bool = False

    def prints(self, output: str) -> bool:
        """Whether `output` is what the page shows, blank space at the ends aside."""
        if self.output is None:
            return True
        pattern = ".*".join(re.escape(part) for part in self.output.strip().split("…"))
        return re.fullmatch(pattern, output.strip(), re.DOTALL) is not None


def blocks_of(page: str) -> Iterator[Block]:
    """The blocks to run, in the page's order. Raises UnrunnableBlockError."""
    for fence in _FENCE.finditer(page):
        line = page.count("\n", 0, fence.start()) + 1
        body = re.sub(f"^{fence['indent']}", "", fence["body"], flags=re.MULTILINE)
        match fence["info"].split():
            case ["sh"]:
                block = Block(line, body)
            case ["sh", "service"]:
                block = Block(line, body, service=True)
                if len(body.replace("\\\n", " ").strip().splitlines()) != 1:
                    raise UnrunnableBlockError(f"line {line}: a service is one command")
            case ["console"]:
                block = _console(line, body)
            case [("sh" | "console" | "bash" | "shell"), *_]:
                raise UnrunnableBlockError(f"line {line}: mark commands `sh`, `sh service` or `console`")
            case _:
                continue
        if gap := _GAP.search(block.script):
            raise UnrunnableBlockError(
                f"line {line}: `{gap[0]}` is a gap to fill in; write a command that runs as it is"
            )
        yield block


def _console(line: int, body: str) -> Block:
    """Part commands from what they print; a command goes on while its lines end in a backslash."""
    commands: list[str] = []
    printed: list[str] = []
    goes_on = False
    for text in body.splitlines():
        if goes_on or text.startswith("$ "):
            commands.append(text if goes_on else text.removeprefix("$ "))
            goes_on = text.endswith("\\")
        else:
            printed.append(text)
    if not commands:
        raise UnrunnableBlockError(f"line {line}: a `console` block has its commands after `$ `")
    return Block(line, "\n".join(commands) + "\n", "\n".join(printed) if printed else None)
