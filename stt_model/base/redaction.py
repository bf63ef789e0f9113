"""Remove passwords, tokens and signatures from addresses before they are shown."""

from __future__ import annotations

import logging
import re

# These modules log whole addresses at DEBUG, and presigned ones carry their signature.
_TALKATIVE = ("urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry")

# Names that web services give to the secrets in a query.
_SECRET_NAMES = (
    r"X-(?:Amz|Goog)-[\w-]+|AWSAccessKeyId|signature|sig|\w*token|password|secret|api_?key"
)


def holds_credentials(uri: str) -> bool:
    """Tell whether ``uri`` has a user, a password, or a query that is signed or has a token."""
    has_user = re.match(r"[\w+.-]+://[^/?#]*@", uri)
    return bool(has_user or re.search(rf"[?&](?:{_SECRET_NAMES})=", uri, re.IGNORECASE))


def redact(uri: str) -> str:
    """Return ``uri`` without user, password, query and fragment, for a message.

    A path is returned as it is. In ``s3://`` URIs ``?`` and ``#`` are ordinary characters, so
    only what looks like the query of a presigned address is removed there.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    tail = r"\?[^/]*?(?:X-Amz-|Signature=)" if scheme.lower() == "s3" else "[?#]"
    host, slash, path = re.split(tail, rest, maxsplit=1, flags=re.IGNORECASE)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


class _QueryFilter(logging.Filter):
    """Removes queries, users and passwords from log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(each) for each in record.args)
        # Callers that make this library retry log a line of their own.
        return not str(record.msg).startswith("Retrying (")


def _without_query(argument: object) -> object:
    if isinstance(argument, (int, float)):
        return argument
    return re.sub(r"\?\S*", "?…", re.sub(r"//[^/\s]*@", "//", str(argument)))


def keep_secrets_out_of_logs() -> None:
    """Make the HTTP library log addresses without queries, in the whole process."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _QueryFilter) for each in logger.filters):
            logger.addFilter(_QueryFilter())
