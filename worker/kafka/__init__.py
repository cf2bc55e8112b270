"""Kafka itself: the only package of the project that talks to it. First and last station of the journey.

`source.py` reads and commits, `letter_source.py` reads for a replay, `sink.py` writes and `transactional_sink.py` does
so in transactions; they are what `streams.py` asks for. `connection.py` is what all of them share. `sent_batches.py`,
by C++ in `cpp/`, hands a batch to the client in one call. `rights.py` asks what this user may do.

Everything librdkafka says through callbacks is noted and raised from the next method called, for an exception that left
a callback would take the batch with it.
"""
