"""The parts of the Kubernetes API that the checks use."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from kubernetes import client, config
from kubernetes.client import ApiException

from stt_bootstrap.pipelines.kubeconfig import cluster_configuration
from stt_bootstrap.pipelines.preflight.plan import PreflightError

_TIMEOUT = 15
"""Timeout of a request in seconds."""


class Cluster:
    """A namespace of a cluster. Responses are objects of the ``kubernetes`` package."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self.host = str(api.configuration.host)
        self.core = client.CoreV1Api(api)
        self.authorization = client.AuthorizationV1Api(api)
        self.storage = client.StorageV1Api(api)
        self.version = client.VersionApi(api)

    @classmethod
    def connect(cls, namespace: str, context: str = "") -> Cluster:
        """Return the cluster of ``$KUBECONFIG`` or ``~/.kube/config``, or the one around this pod.

        Raises:
            PreflightError: there is no cluster, or no such context.
        """
        try:
            configuration = cluster_configuration(context)
        except config.ConfigException as error:
            raise PreflightError(
                f"no cluster to check: {str(error).rstrip('.')}; set KUBECONFIG, or give --context"
            ) from error
        return cls(client.ApiClient(configuration), namespace)

    def ask(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Return the API's response; the client's exceptions pass through."""
        return function(*args, **options, _request_timeout=_TIMEOUT)

    def find(self, function: Callable[..., Any], name: str, namespace: str = "") -> Any:
        """Return an object of the namespace, or None if there is none of this name."""
        try:
            return self.ask(function, name, namespace or self.namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def secret_values(self, name: str) -> dict[str, str]:
        """Return keys and decoded values of a secret; empty if there is none.

        The values must never be shown.
        """
        secret = self.find(self.core.read_namespaced_secret, name)
        data = (secret.data or {}) if secret else {}
        return {
            key: base64.b64decode(value or "").decode("utf-8", "replace")
            for key, value in data.items()
        }

    def config_values(self, name: str) -> dict[str, str]:
        """Return keys and values of a config map; empty if there is none."""
        found = self.find(self.core.read_namespaced_config_map, name)
        return dict((found.data or {}) if found else {})


def message(error: ApiException) -> str:
    """Return in one line why the API refused, without headers."""
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.reason
    return f"{error.status} {' '.join(str(said).split())}"
