"""What of an address may be shown."""

from __future__ import annotations

import pytest

from stt_model.base.redaction import holds_credentials, redact


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/a path/with?odd#letters", "/a path/with?odd#letters"),
        ("https://host/x.zip", "https://host/x.zip"),
        ("https://me:hush@host:1/x.zip?token=hush#hush", "https://host:1/x.zip"),
        ("https://me@you:hush@host/x", "https://host/x"),
        ("https://host?hush", "https://host"),
        ("s3://bucket/why?/a#b.wav", "s3://bucket/why?/a#b.wav"),
        ("s3://bucket/x?X-Amz-Signature=hush", "s3://bucket/x"),
        ("s3://bucket/x?a=b&signature=hush", "s3://bucket/x"),
        ("s3://key:hush@bucket/x", "s3://bucket/x"),
    ],
)
def test_redact(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize(
    ("uri", "holds"),
    [
        ("https://host/x.zip", False),
        ("https://host/x.zip?download=true&design=2", False),
        ("https://host/me@home/x.zip", False),
        ("/data/x?token", False),
        ("s3://bucket/key", False),
        ("https://me:hush@host/x.zip", True),
        ("https://host/x?X-Amz-Date=1&X-Amz-Signature=hush", True),
        ("https://host/x?sv=1&sig=hush", True),
        ("https://host/x?access_token=hush", True),
        ("https://host/x?X-Goog-Signature=hush", True),
    ],
)
def test_holds_credentials(uri: str, holds: bool) -> None:
    assert holds_credentials(uri) is holds
