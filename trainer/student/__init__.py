"""The small model that ships: building, fitting and writing it."""
