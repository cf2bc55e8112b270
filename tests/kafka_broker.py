"""A real Apache Kafka for the tests: one KRaft node from Maven artefacts, no container, no installation.

The headline's journey starts and ends on a broker; this is the one that the tests trust. `python -m tests.kafka_broker`
starts one, prints its address and keeps it until Ctrl-C.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.maven import LOG_TAIL_CHARS, UnavailableError, fetched_by_maven

ROOT = Path(__file__).resolve().parent.parent
POM = Path(__file__).with_name("kafka") / "pom.xml"
JARS = ROOT / "build" / "kafka"

NOTICES = 5  # a client's log level; the next tells of each request that it drops when it is closed
START_SECONDS = 240  # where others use the processors too, Java takes its time
STOP_SECONDS = 20
HEAP = "-Xmx512m"
# Java starts with half the work where it compiles everything once and no better; what runs for long is slower then.
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class BrokerUnavailableError(Exception):
    """This machine cannot have a broker: a tool is missing, or the jars cannot be had. The message says which."""


class BrokerFailedError(Exception):
    """A broker was started and did not come up; the message ends with what it wrote."""


class KafkaBroker:
    """One node, broker and controller, listening on loopback with topics in a temporary folder.

    Entering starts it and blocks until a client is answered; leaving ends it and removes its folder. In between
    `stop`, `kill` and `start` play an outage: address and data survive. `properties` are the server's
    and win over those here. One that is `short_lived` starts in less time; its speed is not to be measured.
    """

    def __init__(
        self,
        jars: Path,
        port: int | None = None,
        properties: Mapping[str, str] = MappingProxyType({}),
        *,
        short_lived: bool = False,
    ) -> None:
        free_port, controller_port = free_ports(2)
        self._more_properties, self._short_lived = properties, short_lived
        self.port = port or free_port
        self._controller_port = controller_port
        self._classpath = f"{jars}/*"
        self.folder = Path(tempfile.mkdtemp(prefix="kuaixun-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address that clients connect to."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self._format()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def start(self) -> None:
        """Start the node and wait until it answers. Raises BrokerFailedError, with its log, where it does not."""
        if _answers_at(self.port):
            raise BrokerFailedError(f"something listens on port {self.port} of this machine already; name another")
        with self._log() as log:
            self._process = subprocess.Popen(
                [
                    *("java", HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *self._of_the_start()),
                    *(SHORT_LIVED if self._short_lived else ()),
                    *("-cp", self._classpath),
                    *("kafka.Kafka", str(self._properties)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Out of the terminal's reach: Ctrl-C is for the tests, which then end Kafka in order.
                process_group=0,
            )
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.bootstrap):
            if self._process.poll() is not None:
                raise BrokerFailedError(f"Kafka ended with exit code {self._process.returncode}.\n{self._tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrokerFailedError(f"Kafka gave no answer in {START_SECONDS} s.\n{self._tail()}")

    def stop(self) -> None:
        """End the node in order, or by force where it lingers. Does nothing where it is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the node as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _format(self) -> None:
        """Give the node its identity; an unformatted one refuses to start."""
        more = [f"{name}={value}" for name, value in self._more_properties.items()]
        self._properties.write_text("\n".join([*self._server_properties(), *more]), encoding="utf-8")
        # Any 16 bytes in URL-safe base64 name a cluster; this name is the same for every broker of the tests.
        cluster_id = "a3VhaXh1bi10ZXN0cyE"
        with self._log() as log:
            formatted = subprocess.run(
                [
                    *("java", *SHORT_LIVED, "-cp", self._classpath, "kafka.tools.StorageTool"),
                    *("format", "-t", cluster_id, "-c", str(self._properties), *self._of_the_format()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if formatted.returncode:
            raise BrokerFailedError(f"Kafka's storage could not be formatted.\n{self._tail()}")

    def _server_properties(self) -> list[str]:
        return [
            "process.roles=broker,controller",
            "node.id=1",
            f"listeners=PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}",
            f"advertised.listeners=PLAINTEXT://{self.bootstrap}",
            "controller.listener.names=CONTROLLER",
            f"controller.quorum.voters=1@127.0.0.1:{self._controller_port}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            f"log.dirs={self.folder / 'data'}",
            "offsets.topic.replication.factor=1",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "group.initial.rebalance.delay.ms=0",
            # Under KIP-848 a member's session is the broker's to set: as short as the tests' own under the other two.
            "group.consumer.min.session.timeout.ms=6000",
            "group.consumer.session.timeout.ms=6000",
            "group.consumer.min.heartbeat.interval.ms=1000",
            "group.consumer.heartbeat.interval.ms=1000",
            # The default of 50 makes the first consumer group and the first transaction wait for 50 logs each.
            "offsets.topic.num.partitions=4",
            "transaction.state.log.num.partitions=4",
            # How soon the broker ends a transaction whose timeout is over; the default of 10 s is waited for in vain.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
        ]

    def _of_the_start(self) -> list[str]:
        """What a kind of broker adds to the command that starts it."""
        return []

    def _of_the_format(self) -> list[str]:
        """What a kind of broker adds to the command that formats its storage."""
        return []

    def _remove(self) -> None:
        self.kill()  # what it would put in order goes with it
        shutil.rmtree(self.folder, ignore_errors=True)

    def _log(self) -> IO[bytes]:
        return (self.folder / "broker.log").open("ab")

    def _tail(self) -> str:
        return (self.folder / "broker.log").read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]


@contextmanager
def running_broker(port: int | None = None, *, short_lived: bool = False) -> Iterator[KafkaBroker]:
    """A broker of our own for as long as the context lasts. Raises BrokerUnavailableError and BrokerFailedError."""
    with KafkaBroker(kafka_jars(), port, short_lived=short_lived) as broker:
        yield broker


def create_topic(bootstrap: str, name: str, partitions: int = 1, **config: str) -> None:
    """Create a topic with one replica and wait until clients see it; `config` writes settings with `_` for dots."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": NOTICES})
    topic = NewTopic(name, partitions, 1, config={key.replace("_", "."): value for key, value in config.items()})
    admin.create_topics([topic])[name].result(START_SECONDS)
    # The controller has it before the broker tells of it.
    while name not in admin.list_topics(timeout=START_SECONDS).topics:
        time.sleep(0.05)


def kafka_jars() -> Path:
    """The folder of Kafka's jars, fetched by Maven where this version has not been fetched before."""
    try:
        return fetched_by_maven(POM, JARS, "copy-dependencies", "-DincludeScope=runtime")
    except UnavailableError as error:
        raise BrokerUnavailableError(f"{error}, or name a broker in KUAIXUN_TEST_BOOTSTRAP") from None


def _answers_at(port: int) -> bool:
    """Whether anything at all listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(bootstrap: str) -> bool:
    """Whether a broker at this address lists its topics; waits up to half a second for it."""
    try:
        # Refused connections are what starting up looks like: librdkafka would print each one.
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=0.5)
    except KafkaException:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def main() -> int:
    """Start a broker, print its address, keep it until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka_broker", description=main.__doc__)
    parser.add_argument("--port", type=int, help="listen on this port of loopback (default: a free one)")
    parser.add_argument("--topic", action="append", default=[], metavar="NAME", help="create this topic, 4 partitions")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running_broker(options.port) as broker:
            for topic in options.topic:
                create_topic(broker.bootstrap, topic, partitions=4)
            print(broker.bootstrap, flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass
    except (BrokerUnavailableError, BrokerFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
