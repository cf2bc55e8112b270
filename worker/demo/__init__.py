"""`kuaixun-worker demo`: the worker at work on a broker inside this process, every headline accounted for.

Show puts it on; Headlines are what it sends, Arrivals what comes back, the Ledger compares the two; a Screen is what
people see of it, the Summary what they are told at its end.
"""

from kuaixun.worker.demo.show import run_demo

__all__ = ["run_demo"]
