"""What a measured process has taken is told of it alone, and exactly."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.benchmarks.worker.processes import Process, ended


def test_the_processor_time_is_of_the_other_process() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint('spent', flush=True)\ntime.sleep(60)"
    with ended(Process([sys.executable, "-c", code], stdout=subprocess.PIPE)) as other:
        assert other.process.stdout is not None
        with other.process.stdout as said:
            assert said.readline() == "spent\n"
        before = other.processor_seconds()
        assert before >= 0.3
        own = time.process_time()
        while time.process_time() < own + 0.3:  # which the other sleeps through
            pass
        assert other.processor_seconds() - before < 0.1
