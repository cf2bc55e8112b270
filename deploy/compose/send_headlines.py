"""Sends the demo's headlines to a topic, over and over, each time under ids of their own. For deploy/compose.yaml."""

from __future__ import annotations

import argparse
import itertools
import signal
import time

from confluent_kafka import KafkaError, Message, Producer

from kuaixun.worker.demo.headlines import own_headlines, read_headlines


def report_failure(error: KafkaError | None, message: Message) -> None:
    """Say what did not arrive; the next headline may."""
    if error is not None:
        print(f"{message.topic()}: {error.str()}", flush=True)


def main() -> None:
    """Send until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--per-second", type=float, default=200.0)
    parser.add_argument("--count", type=int, default=None, help="stop after so many; default: never")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    headlines = read_headlines(own_headlines())
    producer = Producer({"bootstrap.servers": options.bootstrap_servers, "linger.ms": 20, "enable.idempotence": True})
    # Other ids than those of the run before, for the labelled topic may still hold these.
    first = time.time_ns() // 1_000_000
    began = time.monotonic()
    sequence = -1
    try:
        for sequence, headline in enumerate(itertools.islice(itertools.cycle(headlines), options.count)):
            key, value = headline.record(first + sequence)
            producer.produce(options.topic, key=key, value=value, on_delivery=report_failure)
            ahead_seconds = sequence / options.per_second - (time.monotonic() - began)
            producer.poll(max(ahead_seconds, 0.0))
    except KeyboardInterrupt:
        pass
    left = producer.flush(10.0)
    print(f"sent {sequence + 1 - left} headlines", flush=True)


if __name__ == "__main__":
    main()
