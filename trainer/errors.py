"""What can be wrong with a training or an evaluation. Each stops the command; none leaves half an output behind.

TrainerError
├── DataError          a file of labelled texts is unreadable: file, line, reason
├── EmbeddingError     the pretrained embeddings and their vocabulary do not fit
├── SettingError       an option, or a combination of options, that cannot be trained or written
├── ScoresError        a file of teacher scores is unreadable, or of other rows than the data: file, what differs
└── FitError           the training led nowhere
"""

from kuaixun.export.printable import printable


class TrainerError(Exception):
    """Root of this package's errors."""

    def __str__(self) -> str:
        """The message, fit to be shown: it may quote a file's name, a label or a text."""
        return printable(super().__str__())


class DataError(TrainerError):
    """A labelled file cannot be used. The message names the file, the line and the reason."""


class EmbeddingError(TrainerError):
    """The pretrained embeddings cannot be used. The message names the file and the reason."""


class SettingError(TrainerError):
    """An option cannot be honoured. The message names the option and what to do."""


class ScoresError(TrainerError):
    """Teacher scores cannot be used. The message names the file, what differs and what to do."""


class FitError(TrainerError):
    """The training led nowhere. The message says what to change."""
