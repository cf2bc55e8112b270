"""One page about a training run: what was measured, drawn and written as a single HTML file."""
