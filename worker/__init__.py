"""The Kafka service: raw headlines in, labelled events out, at least once or exactly once."""
