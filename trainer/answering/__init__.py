"""Whatever answers texts, opened from where it lies, and timed side by side."""
