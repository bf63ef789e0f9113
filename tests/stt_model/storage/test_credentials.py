"""Credentials as clusters have them, against servers that play who gives them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import tenacity

from stt_model.storage import credentials, store_client, store_requests
from stt_model.storage.credentials import CredentialError, credential_source
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.store_errors import StoreError
from tests.stt_model.expiring_store import (
    CONTAINER_TOKEN,
    IDENTITY_TOKEN,
    INSTANCE_TOKEN,
    KEYS,
    ROLE,
    ExpiringStore,
    container,
    instance,
    role,
    web_identity,
)

NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true"}
BLOCK = 2**10


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_client, "_BACKOFF", 0.01)
    monkeypatch.setattr(store_client, "_RETRIES", 2)
    monkeypatch.setattr(store_requests, "_WAIT", tenacity.wait_fixed(0.01))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    credentials._source.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExpiringStore]:
    (tmp_path / "stored" / "speech").mkdir(parents=True)
    with ExpiringStore(tmp_path / "stored") as running:
        yield running


PROVIDERS = pytest.mark.parametrize(
    ("provider", "name"),
    [
        (role, f"role {ROLE}, taken with the environment's keys"),
        (web_identity, f"web identity for role {ROLE}"),
        (container, "the container's identity at http://127.0.0.1:"),
        (instance, "the instance's identity at http://127.0.0.1:"),
    ],
)
Provider = Callable[[ExpiringStore, Path], dict[str, str]]


@PROVIDERS
def test_keys_that_expire_in_the_middle_of_a_transfer_are_renewed(
    store: ExpiringStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    provider: Provider,
    name: str,
) -> None:
    monkeypatch.setattr("stt_model.storage.object_store._BLOCK", BLOCK)
    caplog.set_level(logging.DEBUG)
    content = bytes(range(256)) * 4 * 20
    (store.folder / "speech" / "clips.tar").write_bytes(content)
    store.requests_a_key = 6
    environ = store.environment | provider(store, tmp_path)
    assert credential_source(environ).name.startswith(name)
    ObjectStore.from_environment(environ).download("s3://speech/clips.tar", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content
    assert len(store.given) >= 4
    _assert_silent(caplog.text, store)


@PROVIDERS
def test_keys_are_renewed_before_they_end(
    store: ExpiringStore, tmp_path: Path, provider: Provider, name: str
) -> None:
    store.says = timedelta(minutes=4)
    source = credential_source(store.environment | provider(store, tmp_path))
    first, second = source.retrieve(), source.retrieve()
    assert first.access_key != second.access_key
    store.says = timedelta(hours=1)
    third = source.retrieve()
    assert source.retrieve() is third


@PROVIDERS
def test_who_gives_keys_and_is_away_is_waited_for_while_the_old_ones_hold(
    store: ExpiringStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    provider: Provider,
    name: str,
) -> None:
    store.says = timedelta(minutes=4)
    source = credential_source(store.environment | provider(store, tmp_path))
    first = source.retrieve()
    store.refuses = 403
    assert source.retrieve() is first
    assert "it answered 403; check the role, and who may take it; the old credentials" in (
        caplog.text
    )
    assert source.expire(first)
    with pytest.raises(CredentialError, match="it answered 403; check the role") as caught:
        source.retrieve()
    _assert_silent(str(caught.value), store)
    assert "\n" not in str(caught.value)


@PROVIDERS
def test_an_upload_goes_on_with_new_keys(
    store: ExpiringStore, tmp_path: Path, provider: Provider, name: str
) -> None:
    (tmp_path / "run").mkdir()
    for number in range(12):
        (tmp_path / "run" / f"{number}.json").write_text(str(number))
    store.requests_a_key = 5
    environ = store.environment | provider(store, tmp_path)
    ObjectStore.from_environment(environ).upload_directory(tmp_path / "run", "s3://speech/run")
    assert len(list((store.folder / "speech" / "run").iterdir())) == 12
    assert len(store.given) > 2


def test_services_get_the_current_token(store: ExpiringStore, tmp_path: Path) -> None:
    credential_source(container(store, tmp_path)).retrieve()
    assert store.headers[-1]["Authorization"] == CONTAINER_TOKEN
    credential_source(instance(store, tmp_path)).retrieve()
    assert store.headers[-1]["X-aws-ec2-metadata-token"] == INSTANCE_TOKEN
    # A token that Kubernetes has renewed is read anew.
    (tmp_path / "container").write_text("renewed")
    source = credential_source(container(store, tmp_path))
    (tmp_path / "container").write_text("renewed again")
    source.expire(source.retrieve())
    source.retrieve()
    assert store.headers[-1]["Authorization"] == "renewed again"


def test_a_file_of_credentials_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[speech]\naws_access_key_id=A1\naws_secret_access_key=%s1\n")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(path), "AWS_PROFILE": "speech"}
    source = credential_source(environ)
    assert source.name == f"profile speech of {path}"
    assert source.retrieve().secret_key == "%s1"
    path.write_text(
        "[speech]\naws_access_key_id=A2\naws_secret_access_key=s2\naws_session_token=t2\n"
    )
    assert source.retrieve().session_token == "t2"
    home = tmp_path / "home" / ".aws"
    home.mkdir(parents=True)
    (home / "credentials").write_text("[default]\naws_access_key_id=H\naws_secret_access_key=h\n")
    assert credential_source({"HOME": str(tmp_path / "home")}).retrieve().access_key == "H"


def test_keys_of_the_environment_win_and_keep_their_token() -> None:
    token = {"AWS_SESSION_TOKEN": "temporary"}
    source = credential_source({**KEYS, **token, "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"})
    assert source.name == "temporary keys of the environment"
    assert source.retrieve().session_token == "temporary"
    assert not source.expire(source.held)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (NOWHERE, "AWS_ACCESS_KEY_ID is not set; s3:// needs it in the environment, or a file of"),
        ({"AWS_ACCESS_KEY_ID": "hush"}, "AWS_SECRET_ACCESS_KEY is not set, but AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": "hush"}, "AWS_ACCESS_KEY_ID is not set, but AWS_SECRET"),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/hush"},
            "AWS_ROLE_ARN is not set; AWS_WEB_IDENTITY_TOKEN_FILE needs it",
        ),
        (
            {"AWS_SHARED_CREDENTIALS_FILE": "{tmp}/gone"},
            "AWS_SHARED_CREDENTIALS_FILE: {tmp}/gone cannot be read: No such file or directory",
        ),
        (
            {"AWS_SHARED_CREDENTIALS_FILE": "{tmp}/odd"},
            "{tmp}/odd: no section [default] as `aws configure` writes it; check the file",
        ),
        (
            {"AWS_SHARED_CREDENTIALS_FILE": "{tmp}/half"},
            "{tmp}/half: no aws_secret_access_key in section [default]; check the file, or AWS_PR",
        ),
        (
            {"AWS_SHARED_CREDENTIALS_FILE": "{tmp}/half", "AWS_PROFILE": "me"},
            "{tmp}/half: no me in section [me]",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.org/keys"},
            "AWS_CONTAINER_CREDENTIALS_FULL_URI: expected https://, or an address of this machine",
        ),
    ],
)
def test_credentials_that_are_not_there(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    (tmp_path / "odd").write_text("aws_access_key_id = hush")
    (tmp_path / "half").write_text("[default]\naws_access_key_id = hush\n")
    filled = {name: value.replace("{tmp}", str(tmp_path)) for name, value in environ.items()}
    with pytest.raises(StoreError) as caught:
        credential_source(filled).retrieve()
    assert str(caught.value).startswith(message.replace("{tmp}", str(tmp_path)))
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_machine_without_an_identity(
    store: ExpiringStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.refuses = 404
    with pytest.raises(CredentialError, match=r"AWS_ACCESS_KEY_ID is not set.*it answered 404"):
        credential_source(instance(store, tmp_path))
    with pytest.raises(CredentialError, match=r"AWS_ACCESS_KEY_ID is not set.*no answer"):
        credential_source({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"})


def test_an_answer_that_holds_no_keys(store: ExpiringStore, tmp_path: Path) -> None:
    refusal = {"Code": "Failed", "Message": "hush"}
    store.give = lambda: dict(refusal)  # type: ignore[method-assign]
    with pytest.raises(CredentialError, match="it answered Failed") as caught:
        credential_source(container(store, tmp_path)).retrieve()
    assert "hush" not in str(caught.value)


def test_a_store_that_does_not_take_new_keys_either(store: ExpiringStore, tmp_path: Path) -> None:
    store.requests_a_key = 0
    reader = ObjectStore.from_environment(store.environment | container(store, tmp_path))
    with pytest.raises(StoreError, match=r"s3://speech/x: .*ExpiredToken"):
        reader.stat("s3://speech/x")
    assert store.expired_answers <= 20


def _assert_silent(text: str, store: ExpiringStore) -> None:
    hidden = [part for keys in store.given for part in keys]
    hidden += [KEYS["AWS_SECRET_ACCESS_KEY"], CONTAINER_TOKEN, INSTANCE_TOKEN, IDENTITY_TOKEN]
    assert [each for each in hidden if each in text] == []
