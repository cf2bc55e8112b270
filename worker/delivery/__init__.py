"""The second half of a headline's journey: outcomes out, confirmed, and their inputs committed, as was promised.

`promise.py` says what the loop asks of a guarantee; `at_least_once.py` and `exactly_once.py` are the two.
"""
