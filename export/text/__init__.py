"""From raw text to token ids. Defined per code point as data, so that every runtime reads the same tables."""
