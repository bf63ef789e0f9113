"""Checks of access: the API, the namespace, accounts, permissions, secrets and images."""

from __future__ import annotations

import json

from kubernetes import client
from kubernetes.client import ApiException

from stt_bootstrap.pipelines.cluster import STORE_CONFIG_KEYS, STORE_SECRET_KEYS
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Finding, Findings, failed, ok, warning
from stt_bootstrap.pipelines.preflight.plan import Plan

APPLY = "kubectl apply -k manifests/base, or an overlay"

EKS_ROLE = "eks.amazonaws.com/role-arn"
GKE_ACCOUNT = "iam.gke.io/gcp-service-account"

OLDEST_VERSION = (1, 25)
"""The first version with stable Pod Security levels."""

# Group, resource, name ("" for any), verbs: what manifests/base/role.yaml grants.
RUNNER_PERMISSIONS = (
    ("argoproj.io", "workflowtaskresults", "", ("create", "patch")),
    ("", "pods", "", ("get",)),
    ("", "configmaps", "kfp-launcher", ("get",)),
)
# Group, resource, subresource, verb, purpose.
OWN_PERMISSIONS = (
    ("", "pods", "", "list", "watch a run's pods"),
    ("", "pods", "log", "get", "read the log of a failed task"),
    ("", "events", "", "list", "see why a pod does not start"),
    ("argoproj.io", "workflows", "", "list", "see that a pod was lost, and retry"),
)
_PULL_SECRETS = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}


def check_version(plan: Plan, cluster: Cluster) -> Findings:
    """The API answers, and is new enough."""
    found = cluster.ask(cluster.version.get_code)
    version = (int(found.major), int(found.minor.rstrip("+")))
    text = f"Kubernetes {found.git_version} at {cluster.host}"
    if version < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        yield warning(text, f"the manifests are for {oldest} and later; update the cluster")
    else:
        yield ok(text)


def check_namespace(plan: Plan, cluster: Cluster) -> Findings:
    """The namespace exists, and is not being deleted."""
    name = cluster.namespace
    try:
        phase = cluster.ask(cluster.core.read_namespace, name).status.phase
    except ApiException as error:
        if error.status != 404:
            raise
        yield failed(f"no namespace {name}", "give --namespace, or install Kubeflow Pipelines")
        return
    if phase == "Active":
        yield ok(name)
    else:
        yield failed(f"{name} is {phase}", "wait until it is deleted, and create it again")


def check_own_permissions(plan: Plan, cluster: Cluster) -> Findings:
    """The user of this command may follow a run."""
    lacking = []
    for group, resource, subresource, verb, purpose in OWN_PERMISSIONS:
        attributes = client.V1ResourceAttributes(
            namespace=cluster.namespace,
            group=group,
            resource=resource,
            subresource=subresource,
            verb=verb,
        )
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
        )
        answer = cluster.ask(cluster.authorization.create_self_subject_access_review, body=review)
        if not answer.status.allowed:
            lacking.append(f"{verb} {resource}{'/' if subresource else ''}{subresource}: {purpose}")
    if lacking:
        yield warning(
            f"you may not {'; '.join(lacking)}",
            "ask for the cluster role `view` in this namespace",
        )
    else:
        yield ok("you may watch runs and read their logs")


def check_service_account(plan: Plan, cluster: Cluster) -> Findings:
    """The runs' service account exists."""
    name = plan.service_account
    if cluster.find(cluster.core.read_namespaced_service_account, name):
        yield ok(name)
    else:
        yield failed(f"no service account {name}", APPLY)


def check_runner_permissions(plan: Plan, cluster: Cluster) -> Findings:
    """The runs' service account has the permissions that Kubeflow's launchers need."""
    lacking = [
        f"{verb} {resource}{f' {name}' if name else ''}"
        for group, resource, name, verbs in RUNNER_PERMISSIONS
        for verb in verbs
        if not runner_may(plan, cluster, group, resource, name, verb)
    ]
    if lacking:
        yield failed(f"{plan.service_account} may not {', '.join(lacking)}", APPLY)
    else:
        yield ok(f"{plan.service_account} may report its tasks' outcomes")


def runner_may(
    plan: Plan, cluster: Cluster, group: str, resource: str, name: str, verb: str
) -> bool:
    """Return whether the runs' service account may do this in the namespace."""
    resource, _, subresource = resource.partition("/")
    attributes = client.V1ResourceAttributes(
        namespace=cluster.namespace,
        group=group,
        resource=resource,
        subresource=subresource,
        name=name,
        verb=verb,
    )
    accounts = "system:serviceaccounts"
    spec = client.V1SubjectAccessReviewSpec(
        resource_attributes=attributes,
        user=f"system:serviceaccount:{cluster.namespace}:{plan.service_account}",
        groups=[accounts, f"{accounts}:{cluster.namespace}", "system:authenticated"],
    )
    review = client.V1LocalSubjectAccessReview(
        spec=spec, metadata=client.V1ObjectMeta(namespace=cluster.namespace)
    )
    answer = cluster.ask(
        cluster.authorization.create_namespaced_local_subject_access_review,
        cluster.namespace,
        body=review,
    )
    return bool(answer.status.allowed)


def check_secret(plan: Plan, cluster: Cluster) -> Findings:
    """The runs have credentials for the object store: keys in the secret, or a role."""
    name, values = plan.secret, cluster.secret_values(plan.secret)
    make = (
        f"kubectl -n {cluster.namespace} create secret generic {name} --from-env-file=FILE, "
        f"with the lines {' and '.join(f'{key}=…' for key in STORE_SECRET_KEYS)}"
    )
    missing = [key for key in STORE_SECRET_KEYS if not values.get(key)]
    spaced = [
        key for key in STORE_SECRET_KEYS if values.get(key, "").strip() != values.get(key, "")
    ]
    if not values:
        yield _identity(plan, cluster, make)
    elif missing:
        yield failed(f"{name} lacks {', '.join(missing)}", f"delete it, then {make}")
    elif spaced:
        yield failed(
            f"{name}: spaces or a line end around {', '.join(spaced)}", f"delete it, then {make}"
        )
    elif values.get("AWS_SESSION_TOKEN"):
        yield warning(
            f"{name} has temporary keys, with AWS_SESSION_TOKEN",
            "make sure that they last longer than the run, or give the service account a role, "
            "which is renewed (manifests/overlays/eks)",
        )
    else:
        yield ok(f"{name} has {', '.join(STORE_SECRET_KEYS)}")


def _identity(plan: Plan, cluster: Cluster, make: str) -> Finding:
    """Return which role or identity the runs' service account has, without keys in the secret."""
    nothing = f"no secret {plan.secret}, or it is empty"
    account = cluster.find(cluster.core.read_namespaced_service_account, plan.service_account)
    annotations = (account and account.metadata.annotations) or {}
    if role := annotations.get(EKS_ROLE):
        return ok(f"{plan.service_account} has the role {role}, through EKS's web identity")
    if identity := annotations.get(GKE_ACCOUNT):
        return failed(
            f"{nothing}; {plan.service_account} is {identity} at Google, whose store accepts "
            "S3 requests only with HMAC keys",
            f"gcloud storage hmac create {identity}, then {make}",
        )
    endpoint = cluster.config_values(plan.config_map).get("AWS_ENDPOINT_URL_S3", "")
    if not endpoint or "amazonaws.com" in endpoint:
        return warning(
            f"{nothing}, and {plan.service_account} has no role: only EKS Pod Identity or the "
            "node's own role, which cannot be seen from here, could give the runs access",
            f"{make}; or annotate the service account with {EKS_ROLE}",
        )
    return failed(nothing, make)


def check_config_map(plan: Plan, cluster: Cluster) -> Findings:
    """The config map with the address of the object store exists."""
    name, values = plan.config_map, cluster.config_values(plan.config_map)
    missing = [key for key in STORE_CONFIG_KEYS if not values.get(key)]
    if not values:
        yield failed(f"no config map {name}, or it is empty", APPLY)
    elif missing:
        yield warning(
            f"{name} lacks {', '.join(missing)}",
            f"{APPLY}; without them Amazon S3 is used",
        )
    else:
        yield ok(f"{name}: {values['AWS_ENDPOINT_URL_S3']}, region {values['AWS_REGION']}")


def check_images(plan: Plan, cluster: Cluster) -> Findings:
    """The images can be pulled, as far as their registries and the pull secrets show."""
    images = plan.images()
    registries = {image.partition("/")[0] for image in images}
    if "localhost" in registries:
        yield warning(
            f"the package names images that no node can pull: {', '.join(images)}",
            "stt-bootstrap compile --registry REGISTRY, and give the package as --package; or load "
            "them into the nodes (kind load docker-image)",
        )
        return
    account = cluster.find(cluster.core.read_namespaced_service_account, plan.service_account)
    names = [each.name for each in (account and account.image_pull_secrets) or ()]
    if not names:
        yield ok(f"{', '.join(sorted(registries))}, without a pull secret")
    for name in names:
        yield from _check_pull_secret(cluster, name, registries)


def _check_pull_secret(cluster: Cluster, name: str, registries: set[str]) -> Findings:
    make = (
        f"kubectl -n {cluster.namespace} create secret docker-registry {name} "
        f"--docker-server={min(registries)} --docker-username=… --docker-password=…"
    )
    secret = cluster.find(cluster.core.read_namespaced_secret, name)
    if secret is None:
        yield failed(f"no secret {name}, which the service account names for pulling", make)
        return
    key = _PULL_SECRETS.get(secret.type)
    if key is None:
        yield failed(f"{name} is of type {secret.type}, which is not for pulling", make)
        return
    try:
        logins = json.loads(cluster.secret_values(name)[key])
        hosts = {_host(each) for each in logins.get("auths", logins)}
    except (KeyError, ValueError, AttributeError):
        yield failed(f"{name} holds no login that can be read", make)
        return
    if lacking := sorted(registries - hosts):
        yield warning(f"{name} has no login for {', '.join(lacking)}", make)
    else:
        yield ok(f"{name} has logins for {', '.join(sorted(registries))}")


def _host(address: str) -> str:
    return address.partition("://")[2].partition("/")[0] or address.partition("/")[0]
