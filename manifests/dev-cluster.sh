#!/bin/sh
# From nothing to a cluster on this machine on which `make test-cluster` runs: kind (or minikube),
# Kubeflow Pipelines, this project's images, an S3 server, a forwarded port.
#
#     manifests/dev-cluster.sh            makes it, and says what to export
#     manifests/dev-cluster.sh delete     takes it away
#
# Needs kind or minikube, kubectl, docker or podman, and for the images what `make images` needs.
set -eu
cd "$(dirname "$0")/.."

NAME=${NAME:-stt-bootstrap}
KFP_VERSION=${KFP_VERSION:-2.17.0}
TOOL=${TOOL:-$(command -v kind >/dev/null && echo kind || echo minikube)}
TAG=${TAG:-$(python3 -c 'from components import images; print(images.TAG)')}
REGISTRY=${REGISTRY:-$(python3 -c 'from components import images; print(images.REGISTRY)')}
UPSTREAM=github.com/kubeflow/pipelines/manifests/kustomize

if [ "${1:-}" = delete ]; then
    if [ "$TOOL" = kind ]; then kind delete cluster --name "$NAME"; else minikube delete -p "$NAME"; fi
    exit
fi

if [ "$TOOL" = kind ]; then
    kind get clusters | grep -qx "$NAME" || kind create cluster --name "$NAME"
    kubectl config use-context "kind-$NAME"
else
    minikube start -p "$NAME" --cpus 2 --memory 6g
    kubectl config use-context "$NAME"
fi

kubectl apply -k "$UPSTREAM/cluster-scoped-resources?ref=$KFP_VERSION"
kubectl wait --for condition=established --timeout=60s crd/applications.app.k8s.io
kubectl apply -k "$UPSTREAM/env/platform-agnostic?ref=$KFP_VERSION"

make images
for image in light model; do
    if [ "$TOOL" = kind ]; then
        kind load docker-image --name "$NAME" "$REGISTRY/$image:$TAG"
    else
        minikube -p "$NAME" image load "$REGISTRY/$image:$TAG"
    fi
done

if ! kubectl -n kubeflow get secret stt-bootstrap-store >/dev/null 2>&1; then
    # Keys of this cluster's own S3 server; through a file, where no list of processes shows them.
    keys=$(mktemp)
    trap 'rm -f "$keys"' EXIT
    chmod 600 "$keys"
    for name in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
        echo "$name=$(head -c 20 /dev/urandom | od -An -tx1 | tr -d ' \n')" >>"$keys"
    done
    kubectl -n kubeflow create secret generic stt-bootstrap-store --from-env-file="$keys"
fi
kubectl apply -k manifests/overlays/dev
kubectl -n kubeflow wait --for condition=available --timeout=900s deployment --all

cat <<EOF
Ready. In one terminal:
    kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80
In another:
    export KUBECONFIG=${KUBECONFIG:-$HOME/.kube/config} KFP_ENDPOINT=http://localhost:8080
    make test-cluster
EOF
