"""What the operator decides: flags before environment before `.env` before the folder of secrets, checked once."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from kuaixun.export.real_path import real_path
from kuaixun.worker.addresses import check_addresses, check_listening
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.envelope import EventFormat
from kuaixun.worker.errors import SettingError
from kuaixun.worker.kafka.membership import GroupProtocol
from kuaixun.worker.observability.log_lines import LogFormat
from kuaixun.worker.properties import property_name, refuse_owned, shown
from kuaixun.worker.routing import Partitioning
from kuaixun.worker.secrets_folder import SecretsSource, secrets_in

PREFIX = "KUAIXUN_"
TEST_PREFIX = "KUAIXUN_TEST_"
ENV_FILE = ".env"
PROPERTY_FIELDS = ("kafka", "consumer", "producer", "registry")
TOPIC_FIELDS = ("input_topic", "output_topic", "dead_letter_topic")
MAX_POLL_INTERVAL = "max.poll.interval.ms"
DEFAULT_MAX_POLL_INTERVAL_MS = 300_000
# Kubernetes writes these into every pod beside a Service whose name begins with "kuaixun".
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")
_FIELD_IN_ERROR = re.compile(r'field "(\w+)"')
LEAST_SIMILARITY = 0.6
# By pydantic's names for its findings.
_MUST = {
    "string_pattern_mismatch": "be a topic's name: 1 to 249 of the characters a-z, A-Z, 0-9, dot, _ and -",
    "string_too_short": "not be empty",
    "int_parsing": "be a whole number",
    "float_parsing": "be a number",
    "bool_parsing": "be true or false",
    "greater_than": "be more than {gt:g}",
    "greater_than_equal": "be at least {ge:g}",
    "less_than_equal": "be at most {le:g}",
    "enum": "be {expected}",
    "literal_error": "be {expected}",
    "dict_type": "be a JSON object",
    "string_type": "be a text, a number, true or false",
}

Properties: TypeAlias = dict[str, SecretStr]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Topic: TypeAlias = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
Uri: TypeAlias = Annotated[str, Field(pattern=r"^[!#-;=?-\[\]_a-z~%]+$")]
Brokers: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(check_addresses)]
HealthAddress: TypeAlias = Annotated[str, AfterValidator(check_listening)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
REVOKE_SHARE = 0.2  # of max.poll.interval.ms, for the group waits for the slowest member that gives up a partition


class OffsetReset(StrEnum):
    """Where to read on where the group has no offset, or one that the topic does not hold any more."""

    EARLIEST = "earliest"
    LATEST = "latest"
    STOP = "stop"


class TraceExport(StrEnum):
    """Where traces go."""

    OFF = "off"
    OTLP = "otlp"


class WorkerSettings(BaseSettings):
    """All settings. Each is also `KUAIXUN_<NAME>` in the environment or in `.env`, and `--<name>` as a flag."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        extra="ignore",  # `refuse_misspelt` looks at names, in the environment as well
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    bootstrap_servers: Brokers = Field("127.0.0.1:9092", description="Brokers to start from, as host:port, by commas.")
    input_topic: Topic = Field("news.raw", description="Topic that headlines are read from.")
    output_topic: Topic = Field("news.labelled", description="Topic that labelled headlines and tombstones go to.")
    dead_letter_topic: Topic = Field(
        "news.dead_letter", description="Topic for what cannot be labelled, bytes and all."
    )
    group_id: Text = Field("kuaixun-worker", description="Consumer group; workers of one group share the partitions.")
    group_protocol: GroupProtocol = Field(
        GroupProtocol.COOPERATIVE,
        description="How the group shares partitions: eager, cooperative, or consumer (KIP-848, Kafka 4).",
    )
    auto_offset_reset: OffsetReset = Field(
        OffsetReset.EARLIEST, description="Where to read on without a usable offset: earliest, latest or stop."
    )
    partitioning: Partitioning = Field(
        Partitioning.SOURCE,
        description="Output partition: source keeps each input partition's order, key goes by murmur2 of the key.",
    )

    event_format: EventFormat = Field(
        EventFormat.JSON,
        description="Labelled events as json, or as cloudevents: the same, with CloudEvents' attributes in headers.",
    )
    cloudevents_source: Uri | None = Field(
        None, description="CloudEvents: their source, a URI; default kuaixun/ and the input topic."
    )
    cloudevents_type: Text = Field("kuaixun.labelled_news", description="CloudEvents: their type.")
    register_schema: bool = Field(
        False, description="Register the schema of labelled events with the registry, rather than look it up."
    )

    delivery: Guarantee = Field(
        Guarantee.AT_LEAST_ONCE, description="What is promised of each headline: at-least-once or exactly-once."
    )
    transactional_id: Annotated[str, Field(min_length=1, max_length=249)] | None = Field(
        None,
        description="Exactly-once: this worker's name, no other's, kept over restarts; default another at each start.",
    )
    transaction_interval_ms: float = Field(
        100, gt=0, le=10_000, description="Exactly-once: how long headlines gather in a transaction."
    )
    transaction_timeout_seconds: Seconds = Field(
        30.0, ge=1, description="Exactly-once: how long the brokers keep the open transaction of a worker that is gone."
    )

    bundle: Path | None = Field(None, description="Folder of the model's bundle; without it the one shipped is used.")
    bundle_public_key: Path | None = Field(
        None, description="PEM file of an ed25519 key; with it, bundles that its owner did not sign are refused."
    )
    changed_labels_allowed: bool = Field(
        False, description="Whether a bundle taken up on the way may give an id another label: true or false."
    )
    engine: Text = Field("auto", description="What computes: auto, native or torchscript.")
    device: Text = Field("auto", description="Where it computes: auto, cpu or cuda.")
    precision: Text = Field("auto", description="Of the native engine's tables: auto, int8, bf16 or fp32.")
    threads: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Threads that compute; default by the engine."
    )
    confidence_threshold: float = Field(0.0, ge=0, le=1, description="Below this confidence an event says abstained.")
    top_scores: int = Field(3, ge=1, description="How many classes, likeliest first, an event lists with their scores.")

    dead_letters_in_a_row: int = Field(
        1000, ge=0, description="So many dead letters one after the other stop the worker; 0 for no limit."
    )
    dead_letter_ratio: float = Field(
        0.5, ge=0, le=1, description="A larger share of dead letters in the window stops the worker; 1 for no limit."
    )
    dead_letter_window: int = Field(
        10_000, ge=1, le=10_000_000, description="How many of the last headlines the share is of, in whole batches."
    )

    max_batch: int = Field(4096, ge=1, le=100_000, description="Most headlines labelled at once.")
    max_delay_ms: float = Field(
        5, ge=0, le=60_000, description="Longest that a batch waits for more once it has one; under light load less."
    )
    latency_target_ms: float = Field(
        100, ge=1, le=60_000, description="A batch ends where labelling it would take longer than this."
    )
    max_in_flight: int = Field(
        32768, ge=1, description="Headlines produced and not yet confirmed before reading pauses."
    )
    commit_interval_seconds: Seconds = Field(1.0, description="How often offsets of confirmed headlines are committed.")
    connect_seconds: Seconds = Field(15.0, description="How long to try for a first answer from the brokers.")
    outage_seconds: Seconds = Field(
        120.0, ge=1, description="How long brokers may be away, or a delivery take, before leaving."
    )
    shutdown_budget_seconds: Seconds = Field(
        25.0, description="How long to finish, commit and leave when told to stop."
    )
    heartbeat_file: Path | None = Field(
        None, description="File that is touched while the loop turns, about once a second; it says ready in time."
    )
    health_address: HealthAddress | None = Field(
        None,
        description="Port, or host:port, of the page, /metrics, /live, /ready and /startup; without it there is none.",
    )
    page_hosts: str = Field(
        "", description="Names by which the page may be opened besides localhost and addresses, by commas."
    )
    traces: TraceExport = Field(
        TraceExport.OFF, description="Where traces go: off, or otlp, which OTEL_ variables say more of."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity to log.")
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="Of log lines: text, json, or auto: text on a terminal, else JSON."
    )

    oauth_token_source: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        None, description="For OAUTHBEARER: a command that prints a token, or module:function that returns one."
    )
    secrets_folder: Path | None = Field(
        None,
        description="Folder with settings in files, each named as its variable and holding its value, to keep secrets.",
    )
    kafka: Properties = Field({}, description="librdkafka properties of both clients, such as security.protocol=SSL.")
    consumer: Properties = Field({}, description="librdkafka properties of the consumer alone; they win over --kafka.")
    producer: Properties = Field({}, description="librdkafka properties of the producer alone; they win over --kafka.")

    registry: Properties = Field(
        {},
        description="Schema registry, by url and the client's other properties: events carry their schema's number.",
    )

    @field_validator(*PROPERTY_FIELDS)
    @classmethod
    def _not_owned(cls, properties: Properties, info: Any) -> Properties:
        refuse_owned(properties, info.field_name)
        return properties

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        topics = (self.input_topic, self.output_topic, self.dead_letter_topic)
        if len(set(topics)) < len(topics):
            raise SettingError(
                f"Input, output and dead-letter topic must differ, but are {', '.join(topics)}: the worker would read "
                "what it writes. Change KUAIXUN_INPUT_TOPIC, KUAIXUN_OUTPUT_TOPIC or KUAIXUN_DEAD_LETTER_TOPIC."
            )
        if self.registry and "url" not in self.registry:
            raise SettingError("KUAIXUN_REGISTRY has no url, such as url=http://127.0.0.1:8081.")
        if self.oauth_token_source is not None and "OAUTHBEARER" not in self._mechanisms():
            raise SettingError(
                "KUAIXUN_OAUTH_TOKEN_SOURCE is of no use without sasl.mechanism=OAUTHBEARER in KUAIXUN_KAFKA."
            )
        if self.outage_seconds >= self.max_poll_interval_seconds:
            raise SettingError(
                f"KUAIXUN_OUTAGE_SECONDS ({self.outage_seconds:g}) must be less than the consumer's "
                f"{MAX_POLL_INTERVAL} ({self.max_poll_interval_seconds:g} s), or the group drops a worker that waits "
                "out an outage. Lower the one or raise the other."
            )
        if not self.transaction_interval_ms / 1000 < self.transaction_timeout_seconds <= self.outage_seconds:
            raise SettingError(
                f"KUAIXUN_TRANSACTION_TIMEOUT_SECONDS ({self.transaction_timeout_seconds:g}) must be more than "
                f"KUAIXUN_TRANSACTION_INTERVAL_MS ({self.transaction_interval_ms:g}) and no more than "
                f"KUAIXUN_OUTAGE_SECONDS ({self.outage_seconds:g}), or transactions end before they are done."
            )
        return self

    def _mechanisms(self) -> set[str]:
        """By which the clients say who they are."""
        clients = (self.consumer_properties(), self.producer_properties())
        return {one[name].upper() for one in clients for name in ("sasl.mechanism", "sasl.mechanisms") if name in one}

    @property
    def max_poll_interval_seconds(self) -> float:
        """How long the group lets a member be silent."""
        text = self.consumer_properties().get(MAX_POLL_INTERVAL, str(DEFAULT_MAX_POLL_INTERVAL_MS))
        if not text.isdecimal():
            raise SettingError(
                f"{MAX_POLL_INTERVAL} in KUAIXUN_CONSUMER or KUAIXUN_KAFKA is no number of milliseconds."
            )
        return int(text) / 1000

    @property
    def revoke_budget_seconds(self) -> float:
        """How long partitions may take to be given up."""
        return REVOKE_SHARE * self.max_poll_interval_seconds

    @property
    def longest_turn_seconds(self) -> float:
        """How long one turn of the loop may take: with all that the brokers are slow to answer, each at its limit.

        Partitions are given up, others taken over, and a transaction fails, after which whatever mends that is waited
        for. An at-least-once worker has no transactions, and waits as long for an outcome that it writes again.
        """
        return self.revoke_budget_seconds + self.outage_seconds + self.transaction_timeout_seconds + self.outage_seconds

    def consumer_properties(self) -> dict[str, str]:
        """The operator's properties for the consumer, secrets in clear."""
        return _in_clear({**self.kafka, **self.consumer})

    def producer_properties(self) -> dict[str, str]:
        """The operator's properties for the producer, secrets in clear."""
        return _in_clear({**self.kafka, **self.producer})

    def registry_properties(self) -> dict[str, str]:
        """The operator's properties for the schema registry's client, secrets in clear; none for no registry."""
        return _in_clear(self.registry)

    def all_properties(self) -> dict[str, str]:
        """Every property passed through, under the names of the fields they came by, secrets in clear."""
        return {
            f"{field}:{name}": value
            for field in PROPERTY_FIELDS
            for name, value in _in_clear(getattr(self, field)).items()
        }

    def shown_properties(self) -> str:
        """The properties for people to read, secrets hidden."""
        return shown(self.all_properties()) or "none"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, `.env`, folder, in this order, property names in one spelling so that they merge."""
        sources = [init_settings, env_settings, dotenv_settings]
        named = next((folder for source in sources if (folder := source().get("secrets_folder"))), None)
        if named is not None:
            secrets = secrets_in(Path(named), PREFIX)
            refuse_misspelt({f"the folder {named}": secrets})
            sources.append(SecretsSource(settings_cls, secrets))
        return tuple(_Dotted(settings_cls, source) for source in sources)


class _Dotted(PydanticBaseSettingsSource):
    """A source whose property names are spelt as librdkafka spells them."""

    def __init__(self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._source = source
        self.__name__ = type(source).__name__

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = dict(self._source())
        for field in PROPERTY_FIELDS:
            if isinstance(values.get(field), dict):
                values[field] = {property_name(name): _scalar(value) for name, value in values[field].items()}
        return values


def read_settings(flags: Mapping[str, Any]) -> WorkerSettings:
    """The settings in force. Raises SettingError, which names a setting but never shows its value."""
    of_file = _read_env_file(Path(ENV_FILE).absolute())
    of_environment = {name: value for name, value in os.environ.items() if not _SERVICE_LINK.search(name)}
    refuse_misspelt({"the environment": of_environment, ENV_FILE: of_file})
    try:
        return WorkerSettings(**flags)
    except ValidationError as error:
        raise SettingError(" ".join(map(_said, error.errors(include_input=False, include_url=False)))) from None
    except SettingsError as error:
        field = _FIELD_IN_ERROR.search(str(error))
        name = PREFIX + field[1].upper() if field else "A setting that should be JSON"
        raise SettingError(
            f"{name} is not JSON. Write it as an object in double quotes, such as {name}='{{\"linger.ms\": 5}}'."
        ) from None


def _read_env_file(path: Path) -> dict[str, str | None]:
    """What `.env` says, nothing where there is none. Raises SettingError, which repeats no line of it."""
    try:
        path = real_path(path)
        if not path.exists():
            return {}
        lines = list(parse_stream(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read as UTF-8 text ({type(error).__name__}).") from None
    for line in lines:
        if line.error or (line.value is None and (line.key or "").upper().startswith(PREFIX)):
            raise SettingError(f"{path}, line {line.original.line}: this is not NAME=VALUE. Correct or remove it.")
    return {line.key: line.value for line in lines if line.key is not None}


def refuse_misspelt(places: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise SettingError for the first KUAIXUN_ name that is no setting, with the likeliest one that is."""
    known = {PREFIX + field.upper() for field in WorkerSettings.model_fields}
    nested = tuple(f"{PREFIX}{field.upper()}__" for field in PROPERTY_FIELDS)
    for place, names in places.items():
        for name in sorted(names):
            upper = name.upper()
            if not upper.startswith(PREFIX) or upper.startswith((TEST_PREFIX, *nested)) or upper in known:
                continue
            raise SettingError(f"{name} in {place} is no setting of this worker. {_advice(upper, known)}")


def _advice(name: str, known: Collection[str]) -> str:
    """What to write instead of a name that is no setting."""
    for field in PROPERTY_FIELDS:
        prefix = f"{PREFIX}{field.upper()}_"
        if name.startswith(prefix):
            return f"A property takes two underscores: {prefix}_{name.removeprefix(prefix)}."
    # The prefix is in all of them, and would make anything look alike.
    written = name.removeprefix(PREFIX).partition("__")[0]
    close = get_close_matches(written, [one.removeprefix(PREFIX) for one in known], n=1, cutoff=LEAST_SIMILARITY)
    return f"Did you mean {PREFIX}{close[0]}?" if close else "`kuaixun-worker run --help` lists them all."


def _said(problem: ErrorDetails) -> str:
    """One of pydantic's findings in the operator's words. Never with the value, which may be a misplaced secret."""
    must = _MUST.get(problem["type"])
    said = f" must {must.format(**problem.get('ctx', {}))}" if must else f": {problem['msg']}"
    return f"{_where(problem['loc'])}{said}."


def _where(location: tuple[int | str, ...]) -> str:
    """A field as the operator writes it."""
    field, *rest = [str(part) for part in location] or ["settings"]
    suffix = f" ({'.'.join(rest)})" if rest else ""
    return f"{PREFIX}{field.upper()} or --{field.replace('_', '-')}{suffix}"


def _scalar(value: Any) -> Any:
    """A property's value as librdkafka reads it; what is no scalar is left for validation to refuse."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _in_clear(properties: Properties) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in properties.items()}
