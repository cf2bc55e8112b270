"""librdkafka's own properties, passed through from the operator: which are refused, and which are never printed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kuaixun.worker.errors import SettingError

HIDDEN = "********"

# What the worker's guarantees rest on, and the setting to use instead where there is one.
OWNED = {
    "bootstrap.servers": "KUAIXUN_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "KUAIXUN_BOOTSTRAP_SERVERS",
    "group.id": "KUAIXUN_GROUP_ID",
    "auto.offset.reset": "KUAIXUN_AUTO_OFFSET_RESET",
    "message.timeout.ms": "KUAIXUN_OUTAGE_SECONDS",
    "delivery.timeout.ms": "KUAIXUN_OUTAGE_SECONDS",
    "partitioner": "KUAIXUN_PARTITIONING",
    "auto.commit.interval.ms": "KUAIXUN_COMMIT_INTERVAL_SECONDS",
    "enable.auto.commit": "",
    "auto.commit.enable": "",
    "enable.auto.offset.store": "",
    "enable.idempotence": "",
    "acks": "",
    "request.required.acks": "",
    "transactional.id": "",
    "transaction.timeout.ms": "",
    "isolation.level": "",
    "partition.assignment.strategy": "",
    "enable.partition.eof": "",
    "allow.auto.create.topics": "",
    "delivery.report.only.error": "",
    "produce.offset.report": "",
    "enabled.events": "",
    "opaque": "",
    "default.topic.conf": "",
    "default.topic.config": "",
    "logger": "",
    "log.queue": "",
}
_CALLBACK = re.compile(r"\.(cb|callback)$|^(on|dr)\.")
_SECRET = re.compile(r"passw|passphrase|secret|token|jaas|pem|key|credential|oauthbearer\.config")


def property_name(written: str) -> str:
    """The property that an operator means: `SECURITY_PROTOCOL` as it stands in an environment variable's name.

    >>> property_name("SECURITY_PROTOCOL"), property_name("ssl.ca.location"), property_name("log_level")
    ('security.protocol', 'ssl.ca.location', 'log_level')
    """
    name = written.strip().lower()
    return name if "." in name or name == "log_level" else name.replace("_", ".")


def refuse_owned(names: Iterable[str], field: str) -> None:
    """Raise SettingError for the first property that is the worker's own."""
    for name in names:
        dotted = name.replace("_", ".")
        if dotted in OWNED or _CALLBACK.search(dotted):
            instead = f"use {OWNED[dotted]} instead" if OWNED.get(dotted) else "remove it"
            raise SettingError(
                f"{name} in KUAIXUN_{field.upper()} is the worker's own, for its guarantee rests on it: {instead}."
            )


def is_secret(name: str) -> bool:
    """Whether a property's value must not be shown. Where a key lies is no secret; when in doubt it is one."""
    return _SECRET.search(name) is not None and not name.endswith(".location")


def shown(properties: Mapping[str, str]) -> str:
    """Properties for people to read, secrets hidden.

    >>> shown({"sasl.username": "kx", "sasl.password": "hunter2"})
    'sasl.password=******** sasl.username=kx'
    """
    return " ".join(f"{name}={HIDDEN if is_secret(name) else value}" for name, value in sorted(properties.items()))


def hide_secrets(text: str, properties: Mapping[str, str]) -> str:
    """A message of the client's with the values of secret properties taken out."""
    secrets = sorted((value for name, value in properties.items() if is_secret(name) and value), key=len, reverse=True)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text
