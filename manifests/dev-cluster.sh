#!/bin/sh
# From nothing to a cluster on this machine on which `make test-cluster` runs: kind (or minikube),
# Kubeflow Pipelines, this project's images, an S3 server.
#
#     manifests/dev-cluster.sh            makes it, and says what to do next; again, it brings the
#                                         images and manifests up to date
#     manifests/dev-cluster.sh delete     takes it away
#
# Needs kind or minikube, kubectl, git, make, and docker or podman. What it asks of the environment:
# TOOL (kind or minikube), ENGINE (docker or podman), NAME of the cluster, KFP_VERSION.
set -eu
cd "$(dirname "$0")/.."

say() { echo "dev-cluster: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
first() { for each in "$@"; do if has "$each"; then echo "$each"; return; fi; done; }

NAME=${NAME:-stt-bootstrap}
KFP_VERSION=${KFP_VERSION:-2.17.0}
TOOL=${TOOL:-$(first kind minikube)}
ENGINE=${ENGINE:-$(first docker podman)}
UPSTREAM=github.com/kubeflow/pipelines/manifests/kustomize
# Read as the Makefile does it: Python may have none of the project's packages.
TAG=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' stt_model/__init__.py)
REGISTRY=$(sed -n 's/^REGISTRY = "\(.*\)"/\1/p' components/images.py)

if [ -z "$TOOL" ]; then say "no kind and no minikube here: install one of them"; exit 1; fi
if [ "$TOOL" = kind ] && [ "$ENGINE" = podman ]; then
    export KIND_EXPERIMENTAL_PROVIDER=podman
fi

if [ "${1:-}" = delete ]; then
    if [ "$TOOL" = kind ]; then kind delete cluster --name "$NAME"; else minikube delete -p "$NAME"; fi
    exit
fi
for program in "$TOOL" kubectl git make "${ENGINE:-docker or podman}"; do
    if ! has "$program"; then say "no $program here: install it"; exit 1; fi
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 700 "$scratch"

if [ "$TOOL" = kind ]; then
    kind get clusters 2>/dev/null | grep -qx "$NAME" || kind create cluster --name "$NAME" --wait 180s
    CONTEXT=kind-$NAME
else
    # A network that knows policies, such as calico, would take the processor that the steps need.
    minikube start -p "$NAME" --cpus 2 --memory 6g
    CONTEXT=$NAME
fi
kubectl config use-context "$CONTEXT"

say "Kubeflow Pipelines $KFP_VERSION"
# With time enough to clone all of it, which takes longer than kustomize waits by itself.
kubectl apply -k "$UPSTREAM/cluster-scoped-resources?ref=$KFP_VERSION&timeout=300s"
kubectl wait --for condition=established --timeout=60s crd/applications.app.k8s.io
kubectl apply -k "$UPSTREAM/env/platform-agnostic?ref=$KFP_VERSION&timeout=300s"

say "images"
make images ENGINE="$ENGINE" TAG="$TAG" REGISTRY="$REGISTRY"
for image in light model; do
    # Through a file: kind and minikube find images of podman in no other way.
    "$ENGINE" save -o "$scratch/$image.tar" "$REGISTRY/$image:$TAG"
    if [ "$TOOL" = kind ]; then
        kind load image-archive --name "$NAME" "$scratch/$image.tar"
    else
        minikube -p "$NAME" image load "$scratch/$image.tar"
    fi
    rm "$scratch/$image.tar"
done

say "what runs need, and an S3 server"
if ! kubectl -n kubeflow get secret stt-bootstrap-store >/dev/null 2>&1; then
    # Keys of this cluster's own S3 server; through a file, where no list of processes shows them.
    for name in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
        echo "$name=$(head -c 20 /dev/urandom | od -An -tx1 | tr -d ' \n')" >>"$scratch/keys"
    done
    kubectl -n kubeflow create secret generic stt-bootstrap-store --from-env-file="$scratch/keys"
fi
kubectl apply -k manifests/overlays/dev
kubectl -n kubeflow wait --for condition=available --timeout=900s deployment --all

cat <<END
Ready. In one terminal:
    kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80
In another:
    export KUBECONFIG=${KUBECONFIG:-$HOME/.kube/config} KFP_ENDPOINT=http://localhost:8080
    make test-cluster
END
