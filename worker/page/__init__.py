"""The page that a worker shows of itself, beside the headline's journey: what the stream is about, now and lately.

It reads what `observability` counts anyway, when somebody looks, and keeps a few headlines and dead letters of its own.
"""
