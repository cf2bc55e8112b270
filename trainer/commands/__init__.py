"""The commands of `kuaixun-trainer`, one a file: their options and what they print."""
