"""The project's exceptions: each message is one line that a user can act on."""

from __future__ import annotations


class BootstrapError(Exception):
    """Something the user can put right; the command line prints it as one line and exits with 1."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message with unprintable characters as ``?``: file names can hold them."""
        text = super().__str__()
        if text.isprintable():
            return text
        # Letters newer than Python's Unicode tables count as unprintable too.
        return "".join(
            each if each.isprintable() else " " if each.isspace() else "?" for each in text
        )


class AlphabetError(BootstrapError):
    """An alphabet file that cannot be read, or text that an alphabet cannot encode."""


class RulesError(BootstrapError):
    """Rules for writing transcripts that are missing or invalid."""


class DataError(BootstrapError):
    """A manifest or an audio file that cannot be used."""


class ValidationError(DataError):
    """A corpus with errors where none were allowed."""


class CheckpointError(BootstrapError):
    """A checkpoint that is missing, damaged, of another program, or not the one asked for."""


class SurgeryError(BootstrapError):
    """Layers that cannot be dropped or stitched as asked."""


class StorageError(BootstrapError):
    """A URI that cannot be fetched or unpacked."""


class TrainingError(BootstrapError):
    """Training that cannot start or go on."""


class OtherRunError(TrainingError):
    """A folder that holds a run with other arguments."""


class AugmentationError(TrainingError):
    """An augmentation that is unknown, or whose specification is invalid."""


class ExportError(BootstrapError):
    """A model that cannot be exported as asked, or an export that is not what it should be."""


class GateError(BootstrapError):
    """A model that misses the required quality; all its files are written nevertheless."""


class StoppedError(TrainingError):
    """A run that was told to stop and has saved its state: it can be resumed."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: "try again later"


class RefusedError(BootstrapError):
    """A mode that the data and the checkpoint do not allow."""


class ScorerError(BootstrapError):
    """A language model that cannot be read, built, or used with the model."""
