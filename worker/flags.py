"""The settings as flags: one per field, its help the field's own description."""

from __future__ import annotations

import argparse
from typing import Any

from kuaixun.worker.properties import property_name
from kuaixun.worker.settings import PREFIX, PROPERTY_FIELDS, WorkerSettings


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--input-topic` and its like. Flags not given are left to the environment, `.env` and defaults."""
    group = parser.add_argument_group("settings", "Each can also be set in the environment, or in a file .env here.")
    for name, field in WorkerSettings.model_fields.items():
        is_property = name in PROPERTY_FIELDS
        default = "" if is_property or field.default is None else f", default {field.default}"
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            metavar="PROPERTY=VALUE" if is_property else name.rpartition("_")[2].upper(),
            action=_Property if is_property else "store",
            default=argparse.SUPPRESS,
            help=f"{field.description} ({PREFIX}{name.upper()}{default})".replace("%", "%%"),
        )


def setting_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings among the parsed arguments."""
    return {name: value for name, value in vars(arguments).items() if name in WorkerSettings.model_fields}


class _Property(argparse.Action):
    """`--kafka linger.ms=50`, as often as one likes; the last of a name counts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, equals, value = str(values).partition("=")
        if not equals or not name:
            # The text may hold a secret, so it is not repeated.
            parser.error(f"{option_string}: expected PROPERTY=VALUE, such as {option_string} linger.ms=50")
        properties = {**getattr(namespace, self.dest, {}), property_name(name): value}
        setattr(namespace, self.dest, properties)
