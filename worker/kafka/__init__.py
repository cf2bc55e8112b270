"""Kafka itself: the only package of the project that talks to it. First and last station of the journey.

`source.py` reads and commits, `letter_source.py` reads for a replay, `sink.py` writes, batches by `sent_batches.py` where
its C++ (`cpp/`) is built, and `transactional_sink.py` does so in transactions; they are what `streams.py` asks for.
`connection.py` is what all of them share. `rights.py` asks what this user may do.

Everything librdkafka says through callbacks is noted and raised from the next method called, for an exception that left
a callback would take the batch with it.
"""
