"""Credentials for the object store: keys, a role, a credentials file, or the machine's identity.

The first source that the environment names is used:

| source | named by |
| --- | --- |
| keys | ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``; ``AWS_SESSION_TOKEN`` |
| role | the same keys and ``AWS_ROLE_ARN``, without ``AWS_WEB_IDENTITY_TOKEN_FILE`` |
| web identity | ``AWS_WEB_IDENTITY_TOKEN_FILE`` and ``AWS_ROLE_ARN``, as EKS gives them to pods |
| file | ``AWS_SHARED_CREDENTIALS_FILE``, or ``~/.aws/credentials``; section ``AWS_PROFILE`` |
| container | ``AWS_CONTAINER_CREDENTIALS_FULL_URI`` or ``…_RELATIVE_URI`` (EKS Pod Identity, ECS) |
| instance | the metadata service of the machine, unless ``AWS_EC2_METADATA_DISABLED`` is true |

Roles are assumed at ``AWS_ENDPOINT_URL_STS``, by default Amazon's for ``AWS_REGION``.

Temporary credentials are renewed before they expire. The ``minio`` package's own providers for
containers and instances always read the process's environment, so this module replaces them.
"""

from __future__ import annotations

import configparser
import functools
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import AssumeRoleProvider, Provider, WebIdentityProvider

from stt_model.base import redact
from stt_model.storage.store_errors import StoreError, innermost

SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

CREDENTIAL_VARIABLES = (
    *SECRET_VARIABLES,
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL_STS",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
    "HOME",
)
"""All variables that identify the caller."""

_EARLY = timedelta(minutes=5)
"""Renewed this long before they expire, so that requests under way still arrive in time."""
_INSTANCE = "http://169.254.169.254"
_CONTAINER = "http://169.254.170.2"
_CONTAINER_HOSTS = (
    "127.0.0.1",
    "localhost",
    "::1",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::23",
)
_TIMEOUT = urllib3.Timeout(connect=5, read=20)  # seconds
_PROBE = urllib3.Timeout(connect=1, read=2)  # seconds: where there is none, nothing answers
_KEPT_SECRETS = 12
"""Renewed credentials that are still redacted: late answers may show them."""

_logger = logging.getLogger(__name__)


class CredentialError(StoreError):
    """Credentials that are missing, or that their provider refuses."""


@dataclass
class CredentialSource(Provider):
    """Provides the client with credentials, renewed in time. Threads may share it."""

    name: str
    """A description of the source, without secrets."""
    fetch: Callable[[], Credentials]
    """Fetches new credentials; raises CredentialError."""
    version: Callable[[], object] = lambda: None
    """Changes when credentials must be fetched again before they expire."""
    secrets: list[str] = field(default_factory=list)
    """Secrets that no message may show: the current ones and some before them."""
    _held: Credentials | None = None
    _version: object = None
    _ends: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def retrieve(self) -> Credentials:
        """Return credentials that are valid for some minutes, where available."""
        with self._lock:
            version = self.version()
            if self._held is None or version != self._version or _ends_within(self._held, _EARLY):
                self._held, self._version = self._renewed(), version
            return self._held

    @property
    def held(self) -> Credentials | None:
        """The credentials provided last."""
        return self._held

    def expire(self, refused: Credentials | None) -> bool:
        """Forget keys that the store no longer accepts; return whether others can be fetched.

        Another thread may have renewed them already: those are kept.
        """
        with self._lock:
            if self._held is refused:
                self._held = None
            return self._ends

    def _renewed(self) -> Credentials:
        try:
            got = self.fetch()
        except CredentialError as error:
            if self._held is None or _ends_within(self._held, timedelta()):
                raise
            _logger.warning("%s; the old credentials are still valid for a while", error)
            return self._held
        self._ends = got.expiration is not None
        new = [each for each in (got.access_key, got.secret_key, got.session_token) if each]
        self.secrets[:] = [*(each for each in self.secrets if each not in new), *new][
            -_KEPT_SECRETS:
        ]
        return got


def _ends_within(held: Credentials, span: timedelta) -> bool:
    # The minio package keeps UTC in naive datetimes.
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    return held.expiration is not None and held.expiration <= now + span


def credential_source(environ: Mapping[str, str]) -> CredentialSource:
    """Return the source that ``environ`` names; the same environment gives the same one.

    Raises CredentialError where there is none, which names the variable that is missing.
    """
    values = tuple((name, environ[name]) for name in CREDENTIAL_VARIABLES if environ.get(name))
    return _source(values)


@functools.lru_cache(maxsize=32)
def _source(values: tuple[tuple[str, str], ...]) -> CredentialSource:
    environ = dict(values)
    for name, other in (SECRET_VARIABLES[:2], SECRET_VARIABLES[1::-1]):
        if environ.get(other) and not environ.get(name):
            raise CredentialError(f"{name} is not set, but {other} is; s3:// needs both")
    if environ.get("AWS_ACCESS_KEY_ID"):
        return _keys(environ)
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return _web_identity(environ)
    if found := _file(environ):
        return found
    if "AWS_CONTAINER_CREDENTIALS_FULL_URI" in environ or (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in environ
    ):
        return _container(environ)
    return _instance(environ)


def _keys(environ: Mapping[str, str]) -> CredentialSource:
    keys = Credentials(
        environ["AWS_ACCESS_KEY_ID"],
        environ["AWS_SECRET_ACCESS_KEY"],
        environ.get("AWS_SESSION_TOKEN"),
    )
    hidden = [environ[name] for name in SECRET_VARIABLES if name in environ]
    role = environ.get("AWS_ROLE_ARN")
    if not role or environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") or keys.session_token:
        kind = "temporary keys" if keys.session_token else "keys"
        return CredentialSource(f"{kind} of the environment", lambda: keys, secrets=hidden)
    endpoint, region = _sts(environ)

    def assume() -> Credentials:
        provider = AssumeRoleProvider(
            sts_endpoint=endpoint,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            region=region,
            role_arn=role,
            role_session_name=environ.get("AWS_ROLE_SESSION_NAME") or "stt-bootstrap",
            http_client=_pool(environ),
        )
        return _asked(f"role {role} at {redact(endpoint)}", provider.retrieve)

    return CredentialSource(
        f"role {role}, taken with the environment's keys", assume, secrets=hidden
    )


def _web_identity(environ: Mapping[str, str]) -> CredentialSource:
    path, role = Path(environ["AWS_WEB_IDENTITY_TOKEN_FILE"]), environ.get("AWS_ROLE_ARN", "")
    if not role:
        raise CredentialError("AWS_ROLE_ARN is not set; AWS_WEB_IDENTITY_TOKEN_FILE needs it")
    endpoint, _ = _sts(environ)
    hidden: list[str] = []

    def take() -> Credentials:
        # Read each time: Kubernetes keeps it fresh.
        token = _read(path, "AWS_WEB_IDENTITY_TOKEN_FILE")
        hidden[:] = [*(each for each in hidden if each != token), token]
        provider = WebIdentityProvider(
            jwt_provider_func=lambda: {"access_token": token},
            sts_endpoint=endpoint,
            role_arn=role,
            role_session_name=environ.get("AWS_ROLE_SESSION_NAME") or "stt-bootstrap",
            http_client=_pool(environ),
        )
        return _asked(f"role {role} at {redact(endpoint)}", provider.retrieve)

    return CredentialSource(f"web identity for role {role}", take, secrets=hidden)


def _file(environ: Mapping[str, str]) -> CredentialSource | None:
    given = environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    home = environ.get("HOME")
    path = Path(given) if given else Path(home, ".aws", "credentials") if home else None
    profile = environ.get("AWS_PROFILE") or "default"
    if path is None or not (given or path.is_file()):
        return None
    found = CredentialSource(
        f"profile {profile} of {path}",
        lambda: _read_profile(path, profile),
        # Whatever renews the credentials rewrites the file.
        version=lambda: path.stat().st_mtime_ns if path.is_file() else None,
    )
    found.retrieve()
    return found


def _read_profile(path: Path, profile: str) -> Credentials:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_read(path, "AWS_SHARED_CREDENTIALS_FILE"))
        section = parser[profile]
        return Credentials(
            section["aws_access_key_id"],
            section["aws_secret_access_key"],
            section.get("aws_session_token"),
        )
    except KeyError as error:
        reason = f"no {error.args[0]} in section [{profile}]"
    except (configparser.Error, ValueError):
        # Its message would quote the line, which may be a key.
        reason = f"no section [{profile}] as `aws configure` writes it"
    raise CredentialError(f"{path}: {reason}; check the file, or AWS_PROFILE")


def _container(environ: Mapping[str, str]) -> CredentialSource:
    name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    address = environ.get(name, "")
    if not address:
        name = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
        address = f"{_CONTAINER}/{environ[name].lstrip('/')}"
    parts = urlsplit(address)
    if parts.scheme != "https" and (parts.hostname or "") not in _CONTAINER_HOSTS:
        raise CredentialError(
            f"{name}: expected https://, or an address of this machine, found {redact(address)!r}"
        )

    def ask() -> Credentials:
        token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if file := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = _read(Path(file), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        headers = {"Authorization": token} if token else {}
        return _answered(redact(address), _pool(environ), address, headers)

    return CredentialSource(f"the container's identity at {redact(address)}", ask)


def _instance(environ: Mapping[str, str]) -> CredentialSource:
    missing = (
        "AWS_ACCESS_KEY_ID is not set; s3:// needs it in the environment, or a file of "
        "credentials, a role, or a machine with an identity"
    )
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise CredentialError(missing)
    endpoint = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _INSTANCE).rstrip("/")
    pool = urllib3.PoolManager(timeout=_PROBE, retries=urllib3.Retry(1, redirect=False))
    folder = f"{endpoint}/latest/meta-data/iam/security-credentials/"

    def ask() -> Credentials:
        what = f"the instance's identity at {endpoint}"
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
        token = _request(what, pool, "PUT", f"{endpoint}/latest/api/token", lifetime)
        headers = {"X-aws-ec2-metadata-token": token}
        role = _request(what, pool, "GET", folder, headers).split("\n")[0].strip()
        if not role:
            raise CredentialError(f"{what}: the machine has no role; give it one")
        return _answered(what, pool, folder + role, headers)

    found = CredentialSource(f"the instance's identity at {endpoint}", ask)
    try:
        found.retrieve()
    except CredentialError as error:
        raise CredentialError(f"{missing} ({error})") from None
    return found


def _answered(
    what: str, pool: urllib3.PoolManager, address: str, headers: Mapping[str, str]
) -> Credentials:
    """Return the credentials that a metadata service answers with."""
    text = _request(what, pool, "GET", address, headers)
    try:
        said: dict[str, Any] = json.loads(text)
        if said.get("Code", "Success") == "Success":
            return Credentials(
                said["AccessKeyId"],
                said["SecretAccessKey"],
                said.get("Token"),
                datetime.fromisoformat(said["Expiration"].replace("Z", "+00:00")),
            )
        reason = f"it answered {said['Code']}"
    except (KeyError, TypeError, ValueError, AttributeError):
        reason = "its answer holds no credentials"
    raise CredentialError(f"{what}: {reason}")


def _request(
    what: str, pool: urllib3.PoolManager, method: str, address: str, headers: Mapping[str, str]
) -> str:
    def ask() -> str:
        response = pool.request(method, address, headers=dict(headers))
        if response.status != 200:
            raise ValueError(f"status code {response.status}")
        return response.data.decode(errors="replace")

    text: str = _asked(what, ask)
    return text


def _asked(what: str, function: Callable[[], Any]) -> Any:
    """Call ``function``; turn its exceptions into CredentialErrors that quote nothing."""
    try:
        return function()
    except urllib3.exceptions.HTTPError as error:
        reason = f"no answer ({innermost(getattr(error, 'reason', None) or error)})"
    except Exception as error:  # the minio package has no specific error for an odd answer
        status = str(error).rpartition("status code ")
        reason = f"it answered {status[2]}" if status[1] else "it answered no credentials"
    raise CredentialError(f"{what}: {reason}; check the role, and who may take it")


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
    raise CredentialError(f"{variable}: {path} cannot be read: {reason}")


def _sts(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return where roles are assumed, and the region."""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.{domain}", region


def _pool(environ: Mapping[str, str]) -> urllib3.PoolManager:
    return urllib3.PoolManager(
        timeout=_TIMEOUT,
        retries=urllib3.Retry(3, redirect=False, backoff_factor=0.5, allowed_methods=None),
        ca_certs=environ.get("AWS_CA_BUNDLE") or certifi.where(),
    )
