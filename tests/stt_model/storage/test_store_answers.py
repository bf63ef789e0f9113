"""What the object store's answers come to: those that a real server on this machine never gives."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import tenacity

from stt_model.storage import store_client, store_requests
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.store_errors import StoreError
from tests.stt_model.played_store import SECRETS, Answer, PlayedStore, refusal, stored

MD5 = hashlib.md5(b"abc").hexdigest()
HTML = Answer(403, b"<html>Log in</html>", {"Content-Type": "text/html"})


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_client, "_BACKOFF", 0.01)
    monkeypatch.setattr(store_client, "_RETRIES", 3)
    monkeypatch.setattr(store_requests, "_WAIT", tenacity.wait_none())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def digest(function: Callable[[bytes], object], content: bytes) -> str:
    return base64.b64encode(function(content).digest()).decode()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refusal(403, "RequestTimeTooSkewed"), r"the store's clock differs from this machine's \("),
        (refusal(403, "AccessDenied"), "these credentials may not do that; ask for a policy"),
        (refusal(400, "ExpiredToken"), "AWS_SESSION_TOKEN is not valid or has expired; get new"),
        (refusal(301, "PermanentRedirect"), "the bucket is in another region; set AWS_REGION"),
        (refusal(400, "AuthorizationHeaderMalformed"), "the bucket is in another region; set AWS"),
        (refusal(409, "Odd", "so\nit is"), r"the store answered Odd \(so it is\); check the addr"),
        (HTML, r"the store answered 403 \(not as an object store does\); check the address"),
    ],
)
def test_a_hopeless_request_is_explained_and_not_repeated(answer: Answer, message: str) -> None:
    with PlayedStore(answer) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError, match=f"s3://speech/x: {message}") as caught:
            store.stat("s3://speech/x")
        assert played.asked == ["HEAD /speech/x", "GET /speech/x"]
        assert "\n" not in str(caught.value)


def test_a_busy_store_is_asked_again(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    busy = refusal(503, "SlowDown")
    with PlayedStore(busy, busy, stored(b"abc", MD5), busy, stored(b"abc", MD5)) as played:
        ObjectStore.from_environment(played.environment).download("s3://speech/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc"
    assert caplog.text.count("the object store is asked again in 0 s (it answered 503)") == 3


def test_a_store_that_stays_busy() -> None:
    with PlayedStore(refusal(503, "SlowDown", "please")) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError, match="s3://speech: the store answered SlowDown"):
            list(store.list("s3://speech"))
        assert len(played.asked) == 4


@pytest.mark.parametrize(
    ("etag", "headers"),
    [
        (MD5, {}),
        ("1234-2", {}),
        ("1234-2", {"x-amz-checksum-sha256": digest(hashlib.sha256, b"abc")}),
        ("1234-2", {"x-amz-checksum-crc32c": digest(google_crc32c.Checksum, b"abc")}),
        # Checksums over those of the parts say nothing of the whole.
        ("1234-2", {"x-amz-checksum-sha256": digest(hashlib.sha256, b"ab") + "-2"}),
        (
            "1234-2",
            {
                "x-amz-checksum-crc32c": digest(google_crc32c.Checksum, b"ab"),
                "x-amz-checksum-type": "COMPOSITE",
            },
        ),
        # Encrypted with keys of the users', an ETag is no MD5.
        (hashlib.md5(b"ab").hexdigest(), {"x-amz-server-side-encryption": "aws:kms"}),
    ],
)
def test_whole_content_is_taken(tmp_path: Path, etag: str, headers: dict[str, str]) -> None:
    with PlayedStore(stored(b"abc", etag, **headers)) as played:
        ObjectStore.from_environment(played.environment).download("s3://speech/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("etag", "headers", "name"),
    [
        (hashlib.md5(b"ab").hexdigest(), {}, "MD5"),
        ("1234-2", {"x-amz-checksum-sha256": digest(hashlib.sha256, b"ab")}, "x-amz-checksum-sha2"),
        ("1234-2", {"x-amz-checksum-sha1": digest(hashlib.sha1, b"ab")}, "x-amz-checksum-sha1"),
    ],
)
def test_damaged_content_is_refused(
    tmp_path: Path, etag: str, headers: dict[str, str], name: str
) -> None:
    with PlayedStore(stored(b"abc", etag, **headers)) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError, match=f"s3://speech/x: expected {name}.* damaged in tr"):
            store.download("s3://speech/x", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_a_stored_object_is_compared(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    with PlayedStore(stored(b"", MD5), stored(b"ab", MD5)) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError, match="s3://speech/x: expected 3 bytes stored, found 2"):
            store.upload(tmp_path / "x", "s3://speech/x")


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-3"),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-north-1"),
    ],
)
def test_requests_are_signed_for_region_and_session(variables: dict[str, str], region: str) -> None:
    with PlayedStore(stored(b"abc", MD5)) as played:
        ObjectStore.from_environment(played.environment | variables).stat("s3://speech/x")
    assert played.asked == ["HEAD /speech/x"], "where the bucket is was not asked"
    assert f"/{region}/s3/" in played.headers[0]["Authorization"]
    assert played.headers[0]["X-Amz-Security-Token"] == SECRETS["AWS_SESSION_TOKEN"]


@pytest.mark.parametrize("style", ["", "path"])
def test_paths_name_the_bucket(style: str) -> None:
    with PlayedStore(stored(b"abc", MD5)) as played:
        environment = played.environment | {"S3_ADDRESSING_STYLE": style}
        ObjectStore.from_environment(environment).stat("s3://speech/x")
    assert played.asked == ["HEAD /speech/x"]


def test_hosts_name_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def answer_for_buckets(host: str, *rest: Any) -> Any:
        return look_up(host.replace("speech.localhost", "127.0.0.1"), *rest)

    monkeypatch.setattr(socket, "getaddrinfo", answer_for_buckets)
    with PlayedStore(stored(b"abc", MD5)) as played:
        port = played.environment["AWS_ENDPOINT_URL"].rpartition(":")[2]
        environment = played.environment | {
            "AWS_ENDPOINT_URL": f"http://localhost:{port}",
            "S3_ADDRESSING_STYLE": "virtual",
        }
        ObjectStore.from_environment(environment).stat("s3://speech/x")
    assert played.asked == ["HEAD /x"]


def page(*keys: str, token: str = "", truncated: bool = True) -> Answer:
    """Return a page of a list of objects, which goes on with ``token``."""
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>1</ETag></Contents>" for key in keys
    )
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    more = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{following}"
    text = f"<ListBucketResult><Name>speech</Name>{more}{entries}</ListBucketResult>"
    return Answer(200, text.encode(), {"Content-Type": "application/xml"})


def test_a_list_goes_on_from_page_to_page() -> None:
    with PlayedStore(page("a", token="1"), page(token="2"), page("b", truncated=False)) as played:
        store = ObjectStore.from_environment(played.environment)
        assert [each.key for each in store.list("s3://speech")] == ["a", "b"]
    assert "continuation-token=2" in played.asked[2]


@pytest.mark.parametrize(
    "answers",
    [
        [page("a", token="1")],
        [page(token="1")],
        [page("a", token="1"), page("b", token="2"), page("c", token="1")],
        [page("a")],
        [page(token=str(number)) for number in range(300)],
    ],
)
def test_a_list_without_an_end_is_one_line(answers: list[Answer]) -> None:
    with PlayedStore(*answers) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError, match="expected the next page of a list of objects"):
            list(store.list("s3://speech/x"))


ENTITIES = b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>".encode()
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no XML",
        b"<html>Log in<br></html>",
        page("a", truncated=False).body[:-9],
        b"<ListBucketResult><Name>&undefined;</Name></ListBucketResult>",
        ENTITIES + b"]><ListBucketResult><Name>&j;</Name></ListBucketResult>",
        b"<?xml version='1.0' encoding='no-such'?><ListBucketResult/>",
        b"\xff\xfe",
        b"<ListBucketResult/>",
        b"<ListBucketResult><Name>speech</Name><Contents/></ListBucketResult>",
        page("a").body.replace(b"<Size>1<", b"<Size>one<"),
        page("a").body.replace(b"<Size>1<", b"<Size>" + b"9" * 5000 + b"<"),
        page("a").body.replace(b"<ETag>", b"<LastModified>then</LastModified><ETag>"),
    ],
)
def test_an_answer_that_is_no_list_is_one_line(body: bytes) -> None:
    with PlayedStore(Answer(200, body, {"Content-Type": "application/xml"})) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError, match="s3://speech/x: ") as caught:
            list(store.list("s3://speech/x"))
    assert str(caught.value).isprintable()


def test_an_answer_that_says_it_has_no_end_is_one_line() -> None:
    length = "x\r\nContent-Length: 1" + "0" * 20
    answer = Answer(403, b"", {"Content-Type": "application/xml", "X": length})
    with PlayedStore(answer) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError):
            store.stat("s3://speech/x")


def test_messages_of_a_store_do_not_control_the_terminal() -> None:
    with PlayedStore(refusal(409, "Odd", "so &#155;31m\tit is")) as played:
        store = ObjectStore.from_environment(played.environment)
        with pytest.raises(StoreError) as caught:
            store.stat("s3://speech/x")
    assert str(caught.value).isprintable()
