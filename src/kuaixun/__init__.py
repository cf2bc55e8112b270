"""kuaixun (快讯): labels Chinese news headlines as they pass through Kafka.

The four packages are the folders at the top of the repository, linked here so that they install under one name:
`schemas` (what stands on the topics), `export` (the bundle and its engines), `trainer`, and `worker`.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("kuaixun")
except PackageNotFoundError:  # a source tree on the path, never installed
    __version__ = "0+unknown"
