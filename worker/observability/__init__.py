"""The worker seen from outside, beside the headline's journey: figures, health, log lines and traces.

Nothing here decides anything, and nothing here may stop or slow the loop: it hands over each batch once, in a few numpy
calls, and whoever asks from outside is answered in a thread of its own.
"""
