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
    "transactional.id": "KUAIXUN_TRANSACTIONAL_ID",
    "transaction.timeout.ms": "KUAIXUN_TRANSACTION_TIMEOUT_SECONDS",
    "isolation.level": "",
    "group.protocol": "KUAIXUN_GROUP_PROTOCOL",
    "partition.assignment.strategy": "KUAIXUN_GROUP_PROTOCOL",
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
# Whose values may be printed. A list of secrets would miss the one that is misspelt.
_HARMLESS = {
    *("security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.kerberos.service.name"),
    *("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"),
    *("ssl.endpoint.identification.algorithm", "client.id", "client.rack", "client.dns.lookup"),
    *("group.instance.id", "compression.type", "compression.codec", "broker.address.family", "debug", "log_level"),
    "plugin.library.paths",
}
_COUNTED = re.compile(r"\.(ms|bytes|kbytes|messages|level|max|enable|verification)$|^enable\.")
_NUMBER_OR_SWITCH = re.compile(r"-?\d+(\.\d+)?|true|false")


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


def may_be_shown(name: str, value: str) -> bool:
    """Whether a property is known to hold no secret: by its name, or as the number or switch that its name says.

    >>> may_be_shown("linger.ms", "5"), may_be_shown("linger.ms", "hunter2"), may_be_shown("sasl.pasword", "5")
    (True, False, False)
    """
    if name in _HARMLESS:
        return True
    return bool(_COUNTED.search(name) and _NUMBER_OR_SWITCH.fullmatch(value) and not _SECRET.search(name))


def shown(properties: Mapping[str, str]) -> str:
    """Properties for people to read, under their names or as `field:name`; a value that may be a secret is hidden.

    >>> shown({"sasl.username": "kx", "kafka:sasl.pasword": "hunter2"})
    'kafka:sasl.pasword=******** sasl.username=kx'
    """
    return " ".join(
        f"{name}={value if may_be_shown(name.rpartition(':')[2], value) else HIDDEN}"
        for name, value in sorted(properties.items())
    )


def hide_secrets(text: str, properties: Mapping[str, str]) -> str:
    """A message of the client's with the values that may be secrets taken out."""
    secrets = {value for name, value in properties.items() if value and _may_be_in_a_message(name, value)}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _may_be_in_a_message(name: str, value: str) -> bool:
    """Whether to look for a value. A bare number stands in ports and times too, so it must be a secret by name."""
    if may_be_shown(name, value):
        return False
    return _SECRET.search(name) is not None or not _NUMBER_OR_SWITCH.fullmatch(value)
