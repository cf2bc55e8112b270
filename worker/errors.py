"""What stops the worker, each with the exit code that tells it apart.

An error here means "stop the process"; what is wrong with one headline alone is a dead letter and no error. Every
message is one paragraph: what was wrong, where, what to do.

    WorkerError                        70  internal error: none of the below, so a fault of this program
    ├── SettingError                    2  a setting is wrong, misspelt, or the worker's own
    ├── BundleRefusedError              3  the bundle is altered, incomplete, or answers its golden cases wrongly
    ├── BundleFormatError               4  the bundle is of a format version that this worker does not read
    ├── BrokerUnreachableError          5  no broker answers, or none did for longer than the outage limit
    ├── TopicMissingError               6  a topic is not there
    ├── AccessRefusedError              7  authentication or authorisation refused
    ├── FatalKafkaError                 8  the client cannot go on (out of sequence, …); a restart may
    ├── DeliveryFailedError             9  an outcome was not confirmed; nothing is committed past it
    ├── EngineUnavailableError         10  the engine asked for cannot run here, or stopped answering
    ├── ShutdownBudgetError            11  the shutdown took longer than allowed, or its last commit is not confirmed
    ├── OffsetsMissingError            12  nowhere to continue from, and the operator chose to stop
    ├── FencedError                    13  another worker has this one's place, or it was silent for too long
    ├── DeadLetterLimitError           14  too many dead letters at once; all of them are written and committed
    ├── ReplayUnfinishedError          15  a replay was told to stop before its end; the same command goes on
    └── SchemaRegistryError            16  the schema registry does not answer, refuses, or does not know the schema

0 is a clean end, 130 Ctrl-C before there was anything to finish.
"""

from __future__ import annotations

from typing import ClassVar

from kuaixun.export import BundleError, BundleVersionError, EngineError, ExportError, KeyFileError


class WorkerError(Exception):
    """Root of this package's errors."""

    exit_code: ClassVar[int] = 70


class SettingError(WorkerError):
    """A setting is wrong; the message names it as the operator wrote it."""

    exit_code = 2


class BundleRefusedError(WorkerError):
    """The bundle may not serve."""

    exit_code = 3


class BundleFormatError(WorkerError):
    """The bundle is of another format version."""

    exit_code = 4


class BrokerUnreachableError(WorkerError):
    """No broker answers."""

    exit_code = 5


class TopicMissingError(WorkerError):
    """Topics are not there; the message has the command that creates each."""

    exit_code = 6


class AccessRefusedError(WorkerError):
    """The broker refused the credentials, or what they may do."""

    exit_code = 7


class FatalKafkaError(WorkerError):
    """The client is of no more use; librdkafka says why."""

    exit_code = 8


class DeliveryFailedError(WorkerError):
    """An outcome could not be written. Its input is not committed, so a restarted worker takes it up again."""

    exit_code = 9


class EngineUnavailableError(WorkerError):
    """The engine cannot run here, or fails on any text."""

    exit_code = 10


class ShutdownBudgetError(WorkerError):
    """The shutdown budget ran out. What was confirmed is committed as far as it could be."""

    exit_code = 11


class OffsetsMissingError(WorkerError):
    """The group's position is not on the topic any more, or never was."""

    exit_code = 12


class FencedError(WorkerError):
    """The broker does not take this instance's word any more; what it had open is undone."""

    exit_code = 13


class DeadLetterLimitError(WorkerError):
    """More headlines than allowed could not be labelled: rather than the data, what makes or reads them is at fault."""

    exit_code = 14


class ReplayUnfinishedError(WorkerError):
    """A replay was told to stop; what it has written is committed."""

    exit_code = 15


class SchemaRegistryError(WorkerError):
    """Labelled events cannot be written by a schema that the registry knows."""

    exit_code = 16


def from_export(error: ExportError) -> WorkerError:
    """The worker's error for one of the export package's, message unchanged."""
    if isinstance(error, BundleVersionError):
        return BundleFormatError(str(error))
    if isinstance(error, BundleError):
        return BundleRefusedError(str(error))
    if isinstance(error, KeyFileError):
        return SettingError(f"KUAIXUN_BUNDLE_PUBLIC_KEY: {error}.")
    if isinstance(error, EngineError):
        return EngineUnavailableError(str(error))
    return WorkerError(str(error))
