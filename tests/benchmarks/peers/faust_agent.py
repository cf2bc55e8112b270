"""Faust (faust-streaming): an agent over a topic's stream.

One at a time: https://faust-streaming.github.io/faust/userguide/agents.html (`@app.agent`, `async for event in
stream.events()`). In batches: https://faust-streaming.github.io/faust/userguide/streams.html (`take`;
here `take_events`, which keeps keys). Events are sent by `send_soon`, a third faster than by `await topic.send`.

https://faust-streaming.github.io/faust/userguide/settings.html: a stream buffer of 131,072, which that page names for
throughput; fetches of 8 MB; requests of a megabyte, compressed by lz4, no more than 20 ms late; uvloop, and orjson,
which Faust takes where it is installed. No web server, no leader's topic; tables would be in memory, and there are
none. Logging at INFO, as the documentation starts its workers, is three tenths faster than at WARNING: there Faust
shows a spinner, and makes two records of each headline for it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mode import loop

loop.use("uvloop")  # before Faust is imported, as its documentation asks

import faust  # noqa: E402

from tests.benchmarks.peers.collector import collect_seldom  # noqa: E402
from tests.benchmarks.peers.options import Options, read_options  # noqa: E402
from tests.benchmarks.peers.settings import FAUST_APP, FAUST_BATCH, FAUST_BATCH_SECONDS  # noqa: E402
from tests.benchmarks.peers.student import labelled, now, open_student  # noqa: E402


def app_of(options: Options) -> faust.App:
    """The application."""
    student = open_student(options.bundle, options.engine)
    app = faust.App(
        options.group,
        broker=f"kafka://{options.bootstrap}",
        datadir=Path(sys.prefix) / "data",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        **FAUST_APP,
    )
    headlines = app.topic(options.input, key_type=bytes, value_serializer="json")
    output = app.topic(options.output, key_type=bytes, value_serializer="json")

    def events_of(batch: list[Any]) -> list[dict[str, Any]]:
        received_at = now()
        verdicts = student.verdicts([event.value["title"] for event in batch])
        times = received_at, now()
        places = [(event.message.topic, event.message.partition, event.message.offset) for event in batch]
        return [
            labelled(event.value, verdict, student.model_id, place, times)
            for event, verdict, place in zip(batch, verdicts, places, strict=True)
        ]

    async def one_by_one(stream: faust.Stream) -> None:
        async for event in stream.events():
            output.send_soon(key=event.key, value=events_of([event])[0])

    async def in_batches(stream: faust.Stream) -> None:
        async for batch in stream.take_events(FAUST_BATCH, within=FAUST_BATCH_SECONDS):
            for event, value in zip(batch, events_of(batch), strict=True):
                output.send_soon(key=event.key, value=value)

    app.agent(headlines)(one_by_one if options.engine == "traced" else in_batches)
    return app


if __name__ == "__main__":
    worker = faust.Worker(app_of(read_options()), loglevel="INFO")
    collect_seldom()
    worker.execute_from_commandline()
