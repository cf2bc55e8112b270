"""Kafka itself: the only package of the project that talks to it. First and last station of the journey.

`source.py` reads and commits, `letter_source.py` reads for a replay, `sink.py` writes and `transactional_sink.py` does
so in transactions; they are what `streams.py` asks for. `connection.py` is what all of them share. `reading.py` reads a
batch from the client in one call and `sent_batches.py` hands one to it, by C++ in `cpp/`, which `plugin.py` finds.
`rights.py` asks what this user may do.

Everything librdkafka says through callbacks is noted and raised from the next method called, for an exception that left
a callback would take the batch with it.
"""
