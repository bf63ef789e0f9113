"""The project's exceptions: each message is one line that a user can act on."""

from __future__ import annotations


class BootstrapError(Exception):
    """Something the user can put right; the command line prints it as one line and exits with 1."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message; what could control a terminal in it, as files can, is a ``?``."""
        text = super().__str__()
        if text.isprintable():
            return text
        # Letters that Python takes for unprintable, as it knows no later Unicode, go with them.
        return "".join(
            each if each.isprintable() else " " if each.isspace() else "?" for each in text
        )


class AlphabetError(BootstrapError):
    """An alphabet file that cannot be read, or text that an alphabet cannot write."""


class RulesError(BootstrapError):
    """Rules for writing transcripts that are not there, or that cannot be understood."""


class DataError(BootstrapError):
    """A manifest or an audio file that cannot be used."""


class ValidationError(DataError):
    """A corpus with errors where none were allowed."""


class CheckpointError(BootstrapError):
    """A checkpoint that is missing, damaged, foreign, or not what was asked for."""


class SurgeryError(BootstrapError):
    """Layers that cannot be dropped or stitched as asked."""


class StorageError(BootstrapError):
    """A URI that cannot be fetched or unpacked."""


class TrainingError(BootstrapError):
    """Training that cannot start or go on."""


class AugmentationError(TrainingError):
    """An augmentation that is unknown, or asked for in a way that cannot be understood."""


class ExportError(BootstrapError):
    """A model that cannot be exported as asked, or an export that is not what it should be."""


class GateError(BootstrapError):
    """A model that is not as good as was asked for; everything about it is written even so."""


class StoppedError(TrainingError):
    """A run that was told to stop and has saved where it stands: it can be started again."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: "try again later"


class RefusedError(BootstrapError):
    """A mode that the data and the checkpoint do not allow."""


class ScorerError(BootstrapError):
    """A language model that cannot be read, built, or used with the model."""
