"""A real Kafka that asks who is there: TLS, SCRAM and OAUTHBEARER on one listener, rights by ACL.

The plain listener of `kafka_broker.py` stays, for the tests themselves: whoever comes in there may do everything.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.kafka_broker import START_SECONDS, BrokerUnavailableError, KafkaBroker, free_ports

USER = "labeller"
PASSWORD = "correct-horse-4711"  # noqa: S105 - of a broker that lives as long as the tests
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_LOGIN_MODULES = "org.apache.kafka.common.security"


class SecuredBroker(KafkaBroker):
    """A node with one more listener. `ca` is the certificate that vouches for it, `other_ca` one that does not."""

    def __init__(self, jars: Path, port: int | None = None) -> None:
        super().__init__(jars, port, short_lived=True)
        (self._secured_port,) = free_ports(1)
        self.ca, self.other_ca = self.folder / "ca.pem", self.folder / "other-ca.pem"
        self._keystore = self.folder / "server.pem"
        _make_certificates(self.folder, self.ca, self.other_ca, self._keystore)

    @property
    def secured_bootstrap(self) -> str:
        """The address where one must say who one is."""
        return f"127.0.0.1:{self._secured_port}"

    def allow(self, operation: AclOperation, kind: ResourceType, name: str, *, prefixed: bool = False) -> None:
        """Give USER a right."""
        pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
        binding = AclBinding(kind, name, pattern, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for made in admin.create_acls([binding]).values():
            made.result(START_SECONDS)
        # The controller has it before the broker goes by it.
        asked = AclBindingFilter(kind, name, pattern, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)
        while not admin.describe_acls(asked).result(START_SECONDS):
            time.sleep(0.05)

    def _server_properties(self) -> list[str]:
        plain = f"PLAINTEXT://{self.bootstrap}"
        secured = f"SASL_SSL://{self.secured_bootstrap}"
        listener = "listener.name.sasl_ssl"
        return [
            *(
                line.replace(plain, f"{plain},{secured}").replace(
                    "PLAINTEXT:PLAINTEXT,", "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,"
                )
                for line in super()._server_properties()
            ),
            f"sasl.enabled.mechanisms={','.join(MECHANISMS)},OAUTHBEARER",
            *(
                f"{listener}.{mechanism.lower()}.sasl.jaas.config={_LOGIN_MODULES}.scram.ScramLoginModule required;"
                for mechanism in MECHANISMS
            ),
            # Without a validator of its own the broker takes tokens without a signature, which is for tests alone.
            f"{listener}.oauthbearer.sasl.jaas.config={_LOGIN_MODULES}.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="broker";',
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self._keystore}",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
        ]

    def _of_the_format(self) -> list[str]:
        return [
            word
            for mechanism in MECHANISMS
            for word in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]


def _make_certificates(folder: Path, ca: Path, other_ca: Path, keystore: Path) -> None:
    """Two authorities, and a key with a certificate of the first for 127.0.0.1."""
    if shutil.which("openssl") is None:
        raise BrokerUnavailableError("`openssl` is not on the PATH, and a broker with TLS needs certificates")

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in (ca, other_ca):
        openssl(
            *("req", "-x509", *key, "-keyout", authority.with_suffix(".key"), "-out", authority),
            *("-days", "30", "-subj", f"/CN={authority.stem}"),
        )
    server = folder / "server"
    openssl(
        *("req", "-x509", *key, "-keyout", server.with_suffix(".key"), "-out", server.with_suffix(".crt")),
        *("-days", "30", "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-addext", "basicConstraints=critical,CA:FALSE", "-CA", ca, "-CAkey", ca.with_suffix(".key")),
    )
    parts = [server.with_suffix(end).read_text(encoding="utf-8") for end in (".key", ".crt")]
    keystore.write_text("".join(parts), encoding="utf-8")
