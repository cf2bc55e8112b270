"""The commands of `kuaixun-export`, one a file: their options, and what they do with them.

Imports that take long stand inside the functions: Ctrl-C during them is caught by `cli.main`.
"""

PROGRAM = "kuaixun-export"
