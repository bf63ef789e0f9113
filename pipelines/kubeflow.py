"""The API of Kubeflow Pipelines: where it is, who asks, and what its refusals mean in one line."""

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
# Where pods that ask for a token find one, which Kubernetes keeps fresh; kfp looks there too.
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer
_ADVICE = {
    401: f"the token was refused or has expired; set {TOKEN_VARIABLE} to a new one",
    403: "these credentials may not do that; ask for a role in this namespace that allows it",
    404: "there is no such thing; check the address and the name",
    413: "the server takes no upload of this size; raise the limit of its proxy",
}


class KubeflowError(BootstrapError):
    """An API that cannot be reached, or that refuses."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; None where there was no answer."""


@dataclass(frozen=True)
class Kubeflow:
    """A connection that has answered once."""

    endpoint: str
    client: kfp_server_api.ApiClient
    namespace: str
    """Where runs belong; empty for a Kubeflow Pipelines without users."""

    def run_link(self, run_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self.endpoint}/#/runs/details/{run_id}"

    def version_link(self, pipeline_id: str, version_id: str) -> str:
        """Return the address of the page of a pipeline's version."""
        return f"{self.endpoint}/#/pipelines/details/{pipeline_id}/version/{version_id}"


def connect(endpoint: str, namespace: str, environ: Mapping[str, str] = os.environ) -> Kubeflow:
    """Connect to ``endpoint``, or to that of the environment, and make sure that it answers.

    Raises KubeflowError for an address where there is no such API, and for a refused token.
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
            f"{redact(address)}: expected the API of Kubeflow Pipelines, found a page of "
            f"{content_type or 'unknown type'}, perhaps of a login; check the address, or set "
            f"{TOKEN_VARIABLE}"
        )
    return Kubeflow(redact(address), client, namespace if health.multi_user else "")


def _configuration(address: str, environ: Mapping[str, str]) -> kfp_server_api.Configuration:
    configuration = kfp_server_api.Configuration(host=address)
    configuration.ssl_ca_cert = environ.get(CA_VARIABLE)
    if token := environ.get(TOKEN_VARIABLE):
        _authorise(configuration, token)
    elif path := environ.get(TOKEN_FILE_VARIABLE):
        # Read before each request: it changes while a run is waited for.
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
    """Raise what goes wrong with a request in the block as KubeflowError, one line about ``what``.

    It chains nothing: exceptions of the client quote whole answers.
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
    """Return what the API says in the body of a refusal; "" for anything else, such as a page."""
    try:
        answer = json.loads(body)
        said = answer.get("message") or answer.get("error_message") or answer.get("error") or ""
    except (TypeError, ValueError, AttributeError):
        return ""
    return " ".join(str(said).split())


def _innermost(error: object) -> str:
    # urllib3 puts the connection that failed before what happened to it.
    text = re.sub(r"^(<.*?>|\w+\(.*?\)): ", "", " ".join(str(error).split()))
    return text or type(error).__name__
