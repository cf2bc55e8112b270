"""`kuaixun-worker replay`: a dead letter's second journey, from the dead-letter topic through the worker's own path.

`selection.py` says which letters are meant, `progress.py` remembers which were dealt with, `restored.py` makes the
record of a letter again, `rewriting.py` writes outcomes and progress as one transaction, `run.py` puts it together.
"""
