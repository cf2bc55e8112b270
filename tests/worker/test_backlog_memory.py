"""Whatever waits on the topic, a worker needs no more than an idle one, its buffers and the batch in hand.

KUAIXUN_TEST_BACKLOG says how many headlines wait; an hour's lag is five million.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.worker.running import worker_process
from tests.worker.test_contract import record
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

BACKLOG = int(os.environ.get("KUAIXUN_TEST_BACKLOG", "100000"))
WRITTEN_AT_ONCE = 10_000
BUFFER_KBYTES = 8192  # of each client
MOST_GROWTH = 1.5
# Bodies are read and dropped: a headline weighs about a kilobyte, all of them far more than the buffers.
BODY = "".join(chr(0x4E00 + i * 7 % 20000) for i in range(300))
FLAGS = (
    *("--threads", "1", "--commit-interval-seconds", "0.2", "--max-batch", "500"),
    *("--consumer", f"queued.max.messages.kbytes={BUFFER_KBYTES}", "--consumer", "fetch.message.max.bytes=1048576"),
    *("--producer", f"queue.buffering.max.kbytes={BUFFER_KBYTES}"),
)


def kbytes(process: subprocess.Popen[bytes], what: str) -> int:
    """VmRSS is what is resident now, VmHWM the most that ever was."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{process.pid}/status").read_text("ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1])


def write_backlog(topics: Topics) -> None:
    for start in range(0, BACKLOG, WRITTEN_AT_ONCE):
        topics.write(
            [
                record(i % PARTITIONS, json.dumps({"id": f"n{i}", "title": f"新闻{i}", "body": BODY}).encode())
                for i in range(start, start + WRITTEN_AT_ONCE)
            ]
        )


def test_memory_under_a_backlog_is_that_of_an_idle_worker_and_the_buffers(kafka_topics: Callable[..., Topics]) -> None:
    topics = kafka_topics()
    with worker_process(topics, *FLAGS) as idle:
        idle_kbytes = kbytes(idle, "VmRSS")
    write_backlog(topics)
    with worker_process(topics, *FLAGS) as busy:
        topics.wait_until_committed(BACKLOG, PATIENCE_SECONDS + BACKLOG / 1000)
        peak_kbytes = kbytes(busy, "VmHWM")
    print(f"idle {idle_kbytes:,} kB, peak {peak_kbytes:,} kB, buffers {2 * BUFFER_KBYTES:,} kB")
    assert peak_kbytes <= MOST_GROWTH * idle_kbytes + 2 * BUFFER_KBYTES
