"""Kubeflow's Model Registry, asked over its REST interface (``v1alpha3``: alpha, it may change).

Source: ``api/openapi/model-registry.yaml`` of kubeflow/model-registry. A model has versions, and a
version the places of its files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from stt_model.base import ExportError, one_line, redact

TOKEN_PATH_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
"""File with the token to show, as Kubeflow's own client reads it; without it none is shown."""
_API = "api/model_registry/v1alpha3"
_TIMEOUT = 30  # seconds
_ATTEMPTS = 5


class ModelRegistry:
    """The registry at ``url``, such as ``http://model-registry-service.kubeflow:8080``.

    All methods raise ExportError, one line, where it does not answer or refuses.
    """

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ExportError(
                f"{redact(url)}: expected the http:// or https:// address of a Model Registry"
            )
        self._url = url.rstrip("/")
        self._environ = environ

    def add_model(self, name: str, **fields: Any) -> str:
        """Return the id of the model of this name, made if there is none."""
        return self._find_or_make(
            ("registered_model", {"name": name}), ("registered_models", {"name": name, **fields})
        )

    def add_version(self, model_id: str, name: str, **fields: Any) -> str:
        """Return the id of a version of a model, made if there is none."""
        body = {"name": name, "registeredModelId": model_id, **fields}
        query = {"name": name, "parentResourceId": model_id}
        return self._find_or_make(("model_version", query), ("model_versions", body))

    def add_place(self, version_id: str, name: str, uri: str, **fields: Any) -> str:
        """Say where the files of a version lie, unless it is said already; return the id."""
        below = f"model_versions/{version_id}/artifacts"
        for each in self._ask("GET", below).get("items", []):
            if each.get("uri") == uri:
                return str(each["id"])
        body = {"artifactType": "model-artifact", "name": name, "uri": uri, **fields}
        return str(self._ask("POST", below, json=body)["id"])

    def _find_or_make(
        self, wanted: tuple[str, Mapping[str, str]], made: tuple[str, Mapping[str, Any]]
    ) -> str:
        def find() -> dict[str, Any]:
            return self._ask("GET", wanted[0], params=wanted[1], missing_is_fine=True)

        found = find()
        if not found:
            try:
                found = self._ask("POST", made[0], json=made[1])
            except ExportError:
                # Another one may have made it meanwhile, or an attempt whose answer got lost.
                found = find()
                if not found:
                    raise
        return str(found["id"])

    def _ask(
        self, method: str, what: str, *, missing_is_fine: bool = False, **options: Any
    ) -> dict[str, Any]:
        """Return the answer, an object; {} where there is nothing and that is fine."""
        try:
            retrying = Retrying(
                stop=stop_after_attempt(_ATTEMPTS),
                wait=wait_exponential(max=10),
                retry=retry_if_exception(_may_pass),
                reraise=True,
            )
            answer = retrying(self._send, method, what, options)
            if answer.status_code == 404 and missing_is_fine:
                return {}
            if answer.status_code not in (200, 201):
                raise ValueError(f"{answer.status_code} {_said(answer)}")
            content = answer.json()
            if not isinstance(content, dict) or (method == "POST" and "id" not in content):
                raise ValueError(f"expected an object with an id, found {content!r:.200}")
        except (requests.RequestException, ValueError, OSError) as error:
            raise ExportError(
                f"{redact(self._url)}: the Model Registry did not take the model ({method} {what}):"
                f" {redact(one_line(str(error)))}"
            ) from error
        return content

    def _send(self, method: str, what: str, options: Mapping[str, Any]) -> requests.Response:
        answer = requests.request(
            method,
            f"{self._url}/{_API}/{what}",
            headers=self._headers(),
            timeout=_TIMEOUT,
            # Nobody else is to get the token.
            allow_redirects=False,
            **options,
        )
        if answer.status_code in (429, 502, 503, 504):
            raise _BusyError(f"{answer.status_code} {_said(answer)}")
        return answer

    def _headers(self) -> dict[str, str]:
        path = self._environ.get(TOKEN_PATH_VARIABLE)
        # Read each time: the cluster replaces it while the pod runs.
        token = Path(path).read_text(encoding="utf-8").strip() if path else ""
        return {"Authorization": f"Bearer {token}"} if token else {}


class _BusyError(ValueError):
    """An answer that may be another one in a moment."""


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, (_BusyError, requests.ConnectionError, requests.Timeout))


def _said(answer: requests.Response) -> str:
    try:
        return one_line(str(answer.json()["message"]))
    except (ValueError, KeyError, TypeError):
        return one_line(answer.text[:200])


def as_properties(values: Mapping[str, str | float]) -> dict[str, dict[str, str | float]]:
    """Return values as the registry's custom properties."""
    return {
        name: {"metadataType": "MetadataStringValue", "string_value": value}
        if isinstance(value, str)
        else {"metadataType": "MetadataDoubleValue", "double_value": value}
        for name, value in values.items()
    }
