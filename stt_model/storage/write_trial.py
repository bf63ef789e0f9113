"""Try whether an object store lets a program write, before the work that is to be written."""

from __future__ import annotations

import logging
import tempfile
import uuid
from pathlib import Path

from stt_model.base import redact
from stt_model.storage.schemes.protocol import Store
from stt_model.storage.store_errors import StoreAnswerError

_logger = logging.getLogger(__name__)


def try_to_store(store: Store, uri: str) -> None:
    """Store an empty object below ``uri`` and remove it again.

    Credentials that may store but not remove are enough: the object then stays, with a warning.

    Raises:
        StoreError: it cannot be stored.
    """
    # A name of its own: several runs may try the same place at the same moment.
    place = f"{uri.rstrip('/')}/.write-test-{uuid.uuid4().hex[:12]}"
    with tempfile.NamedTemporaryFile() as empty:
        store.upload(Path(empty.name), place)
    try:
        store.remove(place)
    except StoreAnswerError as error:
        _logger.warning("%s: stored to try whether that works, and left: %s", redact(place), error)
