"""The schema of labelled events in a schema registry, asked for once at the start. Beside a headline's journey.

Confluent's REST interface, which other registries speak too; the client is confluent-kafka's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from kuaixun.schemas.events import LabelledNews
from kuaixun.schemas.json_schema import FOLDER, file_of
from kuaixun.worker.errors import SchemaRegistryError, SettingError
from kuaixun.worker.properties import hide_secrets
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import LOOK_EVERY_SECONDS

T = TypeVar("T")

NOT_FOUND = 404
_NUMBERS = {"timeout", "max.retries", "retries.wait.ms", "retries.max.wait.ms", "cache.capacity"}


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """Its subject, its number, and where the registry shows it, without credentials."""

    subject: str
    number: int
    address: str


def registered_schema(settings: WorkerSettings, look: Callable[[], None] = lambda: None) -> RegisteredSchema:
    """The registry's number of the schema that this worker writes by, under the subject `<output topic>-value`.

    Registers it only where the settings say so. Blocks; `look` is called between waits, and may raise to end them.
    Raises SchemaRegistryError where the registry does not answer, refuses, or does not know the schema, and
    SettingError for properties that are none.
    """
    try:
        from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
        from confluent_kafka.schema_registry.error import OAuthTokenError
        from confluent_kafka.schema_registry.error import SchemaRegistryError as Refusal
        from httpx2 import HTTPError
    except ImportError as error:
        raise SettingError(
            f"KUAIXUN_REGISTRY needs {error.name}, which is not installed: pip install 'kuaixun[registry]'."
        ) from None
    properties = settings.registry_properties()
    place = _shown_place(properties["url"])
    subject, path = f"{settings.output_topic}-value", FOLDER / file_of(LabelledNews)
    try:
        client = SchemaRegistryClient(_typed({"timeout": f"{settings.connect_seconds:g}", **properties}))
    except (ValueError, TypeError, OSError) as error:
        raise SettingError(f"KUAIXUN_REGISTRY: {hide_secrets(str(error), properties)}.") from None
    schema = Schema(path.read_text(encoding="utf-8"), "JSON")

    def ask() -> int | None:
        with client:
            if settings.register_schema:
                client.register_schema(subject, schema, normalize_schemas=True)
            return client.lookup_schema(subject, schema, normalize_schemas=True).schema_id

    try:
        number = _looking_on(ask, look)
    except Refusal as refusal:
        said = hide_secrets(str(refusal), properties)
        if refusal.http_status_code == NOT_FOUND and not settings.register_schema:
            raise SchemaRegistryError(
                f"The schema registry at {place} does not have the schema of labelled events under {subject}: {said}. "
                f"Register {path}, or let one start do so with KUAIXUN_REGISTER_SCHEMA=true."
            ) from None
        raise SchemaRegistryError(f"The schema registry at {place} refuses {subject}: {said}.") from None
    except (HTTPError, OAuthTokenError, OSError) as error:
        said = hide_secrets(str(error) or type(error).__name__, properties)
        raise SchemaRegistryError(f"The schema registry at {place} does not answer: {said}.") from None
    if number is None:
        raise SchemaRegistryError(f"The schema registry at {place} has {subject} without a number.")
    return RegisteredSchema(subject, number, f"{place}/schemas/ids/{number}")


def _typed(properties: dict[str, str]) -> dict[str, Any]:
    """The client wants its numbers as numbers."""
    return {name: _number(value) if name in _NUMBERS else value for name, value in properties.items()}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # of which the client says that it is none


def _looking_on(ask: Callable[[], T], look: Callable[[], None]) -> T:
    """What `ask` returns or raises.

    Where `look` raises, the thread that asks is left alone: the client tries for minutes, and no process waits for it.
    """
    answer = Future[T]()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="schema-registry", daemon=True).start()
    while not answer.done():
        look()
        wait([answer], LOOK_EVERY_SECONDS)
    return answer.result()


def _shown_place(urls: str) -> str:
    """The first address without credentials. Raises SettingError, which repeats nothing: it may hold a secret."""
    if "?" in urls or "#" in urls:
        raise SettingError(
            "KUAIXUN_REGISTRY: the url has a query or a fragment, behind which the registry's paths would be put. "
            "Leave it out; credentials have properties of their own."
        )
    try:
        parts = urlsplit(urls.partition(",")[0].strip())
    except ValueError:
        raise SettingError("KUAIXUN_REGISTRY: the url is none; write one such as http://127.0.0.1:8081.") from None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
