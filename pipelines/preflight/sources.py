"""Checks of a run's sources: the object store, and the dataset and the checkpoint in it."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import socket
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain, islice
from urllib.parse import urlsplit

import requests

from stt_bootstrap.pipelines.preflight.capacity import GIB, cache_bytes
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import (
    Finding,
    Findings,
    failed,
    ok,
    skipped,
    warning,
)
from stt_bootstrap.pipelines.preflight.plan import Plan
from stt_model.base import redact
from stt_model.corpus import SPLITS
from stt_model.storage import (
    CREDENTIAL_VARIABLES,
    ENDPOINT_VARIABLES,
    MissingError,
    Store,
    StoredObject,
    StoreError,
    credential_source,
    find_objects,
    is_stored,
    split_root,
    store_of,
)

_TIMEOUT = 10  # seconds
_COLUMNS = ("wav_filename", "wav_filesize", "transcript")
_HEAD = 2**16  # bytes of a manifest that are read
# Weights, gradients and Adam's two moments, each as large as the weights, and TensorFlow itself:
# the demo's training, of a checkpoint of 7 MiB, was measured at 419 MiB.
_COPIES, _RUNTIME = 4, 400 * 2**20


class Sources:
    """The sources of a run, read with the credentials that its tasks would have."""

    def __init__(self, plan: Plan, cluster: Cluster) -> None:
        self.plan = plan
        self.cluster = cluster
        self.uris = plan.uris
        self.stored = {name: uri for name, uri in self.uris.items() if is_stored(uri)}

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The variables of the tasks, from the secret and the config map.

        Without keys in the secret the tasks have a role, which cannot be used from here; then this
        machine's credentials are used.
        """
        secret = self.cluster.secret_values(self.plan.secret)
        if not secret:
            secret = {n: os.environ[n] for n in CREDENTIAL_VARIABLES if n in os.environ}
        variables = {**secret, **self.cluster.config_values(self.plan.config_map)}
        if self.plan.store_endpoint:
            variables[ENDPOINT_VARIABLES[0]] = self.plan.store_endpoint
        # The place of the store's certificates on this machine, if it has its own.
        if bundle := os.environ.get("AWS_CA_BUNDLE"):
            variables.setdefault("AWS_CA_BUNDLE", bundle)
        return variables

    def store_of(self, uri: str) -> Store:
        """Return the object store of a URI."""
        return store_of(uri, self.environment)

    @property
    def who_asks(self) -> str:
        """Description of the credentials that the checks use."""
        source = credential_source(self.environment).name
        if self.cluster.secret_values(self.plan.secret):
            return f"the runs' keys, of the secret {self.plan.secret}"
        return f"this machine's {source}, not the runs' own role"

    def objects(self, uri: str) -> list[StoredObject]:
        """Return the objects at or below a URI."""
        if uri not in self._listed:
            self._listed[uri] = list(self.store_of(uri).list(uri)) or [self.store_of(uri).stat(uri)]
        return self._listed[uri]

    def size(self, name: str) -> int:
        """Return the size of a source in the store in bytes; 0 if it does not exist."""
        try:
            return sum(each.size for each in self.objects(self.stored[name]))
        except (KeyError, MissingError):
            return 0

    @cached_property
    def _listed(self) -> dict[str, list[StoredObject]]:
        return {}


def check_store(sources: Sources) -> Findings:
    """The store answers, accepts the keys, and has the buckets."""
    if not sources.stored:
        yield skipped("no s3:// URI was given")
        return
    endpoint = next(
        (each for name in ENDPOINT_VARIABLES if (each := sources.environment.get(name))), ""
    )
    if endpoint and (reason := _unreachable(endpoint)):
        yield from _explain_unreachable(endpoint, reason)
        return
    try:
        who = sources.who_asks
    except StoreError:
        yield warning(
            f"no keys in the secret {sources.plan.secret}, and none on this machine: the store is "
            "not checked",
            "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, on this machine",
        )
        return
    roots = sorted({split_root(uri)[0] for uri in sources.stored.values()})
    for root in roots:
        next(sources.store_of(root).list(root), None)
    buckets = [root.rpartition("/")[2] for root in roots]
    yield ok(f"{endpoint or 'Amazon S3'} lists {', '.join(buckets)} for {who}")


def _unreachable(endpoint: str) -> str:
    """Return why an endpoint cannot be reached, or "" if it can."""
    parts = urlsplit(endpoint)
    port = parts.port or {"http": 80}.get(parts.scheme, 443)
    try:
        socket.create_connection((parts.hostname or "", port), _TIMEOUT).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _explain_unreachable(endpoint: str, reason: str) -> Findings:
    text = f"{redact(endpoint)} cannot be reached from here: {reason}"
    host = urlsplit(endpoint).hostname or ""
    if "." not in host or host.endswith((".svc", ".local")):
        yield warning(
            text,
            f"the cluster may reach it: kubectl port-forward service/{host.partition('.')[0]} "
            "9000, and give --store_endpoint http://127.0.0.1:9000",
        )
    else:
        yield failed(text, "check AWS_ENDPOINT_URL_S3 in the config map, and that it runs")


def check_dataset(sources: Sources) -> Findings:
    """The manifests and the first clip exist and are readable."""
    uri = sources.uris.get("dataset_uri", "")
    if finding := _not_stored(uri, "dataset_uri"):
        yield finding
        return
    root = uri.rstrip("/")
    names = {each.uri for each in sources.objects(uri)}
    there = [f"{split}.csv" for split in SPLITS if f"{root}/{split}.csv" in names]
    if missing := [f"{split}.csv" for split in SPLITS[:2] if f"{split}.csv" not in there]:
        yield failed(f"{redact(uri)} lacks {', '.join(missing)}", "upload it, or check dataset_uri")
        return
    rows = list(islice(_first_rows(sources, f"{root}/train.csv"), 2))
    if not rows or not set(_COLUMNS) <= set(rows[0]):
        yield failed(
            f"{redact(root)}/train.csv: expected the columns {','.join(_COLUMNS)}, found "
            f"{','.join(rows[0]) if rows else 'an empty file'}",
            "write manifests in Coqui's form; stt-bootstrap validate checks them",
        )
        return
    if len(rows) > 1:
        name = dict(zip(rows[0], rows[1], strict=False)).get("wav_filename", "")
        bucket, folder = split_root(root)
        clip = name if is_stored(name) else f"{bucket}/{posixpath.normpath(f'{folder}/{name}')}"
        sources.store_of(clip).stat(clip)
    total = sources.size("dataset_uri")
    yield ok(
        f"{', '.join(there)} and {len(names) - len(there)} more objects, {total / GIB:.2f} GiB"
    )


def _first_rows(sources: Sources, uri: str) -> Iterator[list[str]]:
    with sources.store_of(uri).open(uri) as stream:
        text = io.StringIO(stream.read(_HEAD).decode("utf-8-sig", "replace"), newline="")
    return csv.reader(text)


def check_checkpoint(sources: Sources) -> Findings:
    """The checkpoint exists, and looks like one."""
    uri = sources.uris.get("checkpoint_uri", "")
    if uri.startswith(("http://", "https://")):
        yield _look_at_web(uri)
        return
    if finding := _not_stored(uri, "checkpoint_uri"):
        yield finding
        return
    found = sources.objects(uri)
    names = [posixpath.basename(each.key) for each in found]
    total = sources.size("checkpoint_uri")
    if [each.uri for each in found] == [uri]:
        yield ok(f"{redact(uri)}, an archive of {total / GIB:.2f} GiB")
    elif not any(name.endswith(".index") for name in names):
        yield failed(
            f"{redact(uri)} holds no NAME-STEP.index: {', '.join(names[:5])}",
            "upload a checkpoint folder in Coqui's layout, or its archive",
        )
    else:
        yield ok(f"{len(names)} files, {total / GIB:.2f} GiB")


def _look_at_web(uri: str) -> Finding:
    label = redact(uri)
    try:
        # Not a HEAD request: addresses that are signed for GET refuse it.
        with requests.get(uri, stream=True, timeout=_TIMEOUT) as response:
            status, size = response.status_code, int(response.headers.get("Content-Length", 0))
    except requests.RequestException as error:
        return warning(
            f"{label} cannot be reached from here ({type(error).__name__})",
            "check the address, and that the cluster may reach it",
        )
    if status >= 400:
        return failed(f"{label} answers {status}", "check the address, or sign it again")
    return ok(f"{label}, {size / GIB:.2f} GiB")


def check_further_sources(sources: Sources) -> Findings:
    """The alphabet, the scorer and recordings without transcripts exist, if given."""
    further = ("alphabet_uri", "scorer_uri", "unlabelled_uri")
    names = [name for name in further if name in sources.uris]
    if not names:
        yield skipped(f"none of {', '.join(further)} was given")
    for name in names:
        uri = sources.uris[name]
        if uri.startswith(("http://", "https://")):
            yield _look_at_web(uri)
        elif finding := _not_stored(uri, name):
            yield finding
        else:
            _, objects = find_objects(sources.store_of(uri), uri)
            yield ok(f"{redact(uri)}, {sum(each.size for each in objects)} bytes")


def _not_stored(uri: str, name: str) -> Finding | None:
    """Return the finding for a URI that is not in the store; None if it is."""
    if is_stored(uri):
        return None
    if not uri:
        return skipped(f"no --{name} was given")
    return warning(
        f"{redact(uri)} is a path, which only the pods can check",
        f"give {name} as an s3:// URI, or make sure that the pods have it at that path",
    )


def check_sizes(sources: Sources) -> Findings:
    """The memory of training suffices for the model, and the cache for the dataset."""
    plan, cluster = sources.plan, sources.cluster
    model, dataset = sources.size("checkpoint_uri"), sources.size("dataset_uri")
    if not model and not dataset:
        yield skipped("neither dataset nor checkpoint was found in the store")
        return
    memory, needed = plan.training_memory_bytes(), _COPIES * model + _RUNTIME
    cache = cache_bytes(plan, cluster)
    findings = chain(
        _compare(needed, memory, "training this model", "training_memory", is_fatal=True),
        _compare(dataset, cache, "the dataset", f"the volume {plan.cache_claim}", is_fatal=False),
    )
    yield from findings


def _compare(needed: int, given: int, what: str, where: str, *, is_fatal: bool) -> Findings:
    least = "at least " if is_fatal else ""
    text = f"{what} needs {least}{needed / GIB:.2f} GiB, {where} has {given / GIB:.2f}"
    if needed <= given:
        yield ok(text)
    elif is_fatal:
        yield failed(f"{text}: training would be killed", f"raise {where}")
    else:
        yield warning(f"{text}: clips are fetched again in every epoch", f"enlarge {where}")


def missing(error: Exception) -> Finding:
    """Return the finding of a check that ended with an error of the store."""
    remedy = (
        "upload it, or check the URI"
        if isinstance(error, MissingError)
        else ("check the secret and the config map, and the keys' policy at the store")
    )
    return failed(str(error), remedy)
