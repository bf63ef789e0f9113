"""What can go wrong with an object store."""

from __future__ import annotations

from stt_model.base import StorageError


class StoreError(StorageError):
    """An object store that fails a request, in one line without credentials."""


class StoreAnswerError(StoreError):
    """The store answered with an error."""


class MissingError(StoreAnswerError):
    """There is no such object or bucket."""


class ChangedError(StoreAnswerError):
    """An object has changed since its metadata was read."""


class ExpiredError(StoreAnswerError):
    """Temporary credentials that the store no longer accepts."""


class InterruptedTransferError(StoreError):
    """A failure that may pass if it is tried again."""


class RenewedError(InterruptedTransferError):
    """The keys had expired; the next request is signed with new ones."""


class UnreachableError(StoreError):
    """No answer from the store after all attempts."""


# After these errors, the part that has arrived is worth keeping.
CONTINUABLE_ERRORS = (InterruptedTransferError, UnreachableError)


def innermost(error: BaseException) -> str:
    """Return the innermost cause of an error; the outer ones repeat addresses."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or type(error).__name__
