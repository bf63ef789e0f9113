"""The API of Kubeflow Pipelines: address, credentials, and its errors in one line."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
from kfp_server_api import ApiException

from stt_model.base import BootstrapError, redact

ENDPOINT_VARIABLE = "KFP_ENDPOINT"
TOKEN_VARIABLE = "KFP_TOKEN"
CA_VARIABLE = "KFP_CA_BUNDLE"
# The token that Kubernetes mounts into pods on request, and renews; kfp reads it too.
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer
_ADVICE = {
    401: f"the token was refused or has expired; set {TOKEN_VARIABLE} to a new one",
    403: "these credentials may not do that; ask for a role in this namespace that allows it",
    404: "not found; check the address and the name",
    413: "the server accepts no upload of this size; raise the limit of its proxy",
}


class KubeflowError(BootstrapError):
    """The API cannot be reached, or refused a request."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status; None without an answer."""


@dataclass(frozen=True)
class Kubeflow:
    """A connection whose server has answered."""

    endpoint: str
    client: kfp_server_api.ApiClient
    namespace: str
    """The namespace of runs; empty for a Kubeflow Pipelines without users."""

    def run_link(self, run_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self.endpoint}/#/runs/details/{run_id}"

    def version_link(self, pipeline_id: str, version_id: str) -> str:
        """Return the address of the page of a pipeline's version."""
        return f"{self.endpoint}/#/pipelines/details/{pipeline_id}/version/{version_id}"


def connect(endpoint: str, namespace: str, environ: Mapping[str, str] = os.environ) -> Kubeflow:
    """Connect to ``endpoint``, or to the environment's, and make sure that it answers.

    Raises KubeflowError if there is no such API at the address, or the token is refused.
    """
    address = (endpoint or environ.get(ENDPOINT_VARIABLE, "")).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise KubeflowError(
            f"expected the address of Kubeflow Pipelines, found {redact(address)!r}; give "
            f"--endpoint or {ENDPOINT_VARIABLE}, such as http://localhost:8080 after `kubectl "
            f"port-forward -n {namespace} svc/ml-pipeline-ui 8080:80`"
        )
    with explained(redact(address)):
        client = kfp_server_api.ApiClient(_configuration(address, environ))
        health = kfp_server_api.HealthzServiceApi(client).healthz_service_get_healthz(
            _request_timeout=TIMEOUT
        )
    content_type = client.last_response.getheader("Content-Type", "")
    if not content_type.startswith("application/json"):
        raise KubeflowError(
            f"{redact(address)}: expected the API of Kubeflow Pipelines, found a page of type "
            f"{content_type or 'unknown'}, perhaps a login page; check the address, or set "
            f"{TOKEN_VARIABLE}"
        )
    return Kubeflow(redact(address), client, namespace if health.multi_user else "")


def _configuration(address: str, environ: Mapping[str, str]) -> kfp_server_api.Configuration:
    configuration = kfp_server_api.Configuration(host=address)
    configuration.ssl_ca_cert = environ.get(CA_VARIABLE)
    if token := environ.get(TOKEN_VARIABLE):
        _authorise(configuration, token)
    elif path := environ.get(TOKEN_FILE_VARIABLE):
        # Read before each request, since it can change during a run.
        configuration.refresh_api_key_hook = lambda it: _authorise(
            it, Path(path).read_text(encoding="utf-8")
        )
        _authorise(configuration, Path(path).read_text(encoding="utf-8"))
    return configuration


def _authorise(configuration: kfp_server_api.Configuration, token: str) -> None:
    configuration.api_key["authorization"] = token.strip()
    configuration.api_key_prefix["authorization"] = "Bearer"


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn errors of requests in the block into KubeflowError, one line about ``what``.

    No exception is chained: those of the client quote whole responses.
    """
    try:
        yield
        return
    except ApiException as error:
        failure = KubeflowError(f"{what}: {_meaning(error)}", error.status)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        failure = KubeflowError(f"{what}: no answer ({_innermost(reason)}); check the address")
    raise failure


def _meaning(error: ApiException) -> str:
    said = _message(error.body)
    advice = _ADVICE.get(error.status, "")
    head = f"{error.status} {error.reason}"
    return "; ".join(filter(None, (f"{head}: {said}" if said else head, advice)))


def _message(body: Any) -> str:
    """Return the API's message in the body of an error; "" for other bodies, such as a page."""
    try:
        answer = json.loads(body)
        said = answer.get("message") or answer.get("error_message") or answer.get("error") or ""
    except (TypeError, ValueError, AttributeError):
        return ""
    return " ".join(str(said).split())


def _innermost(error: object) -> str:
    # urllib3 puts the connection that failed before the reason.
    text = re.sub(r"^(<.*?>|\w+\(.*?\)): ", "", " ".join(str(error).split()))
    return text or type(error).__name__
