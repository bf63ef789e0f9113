"""Where the API of Kubernetes is, and who asks."""

from __future__ import annotations

import logging
import os

from kubernetes import client, config


def cluster_configuration(context: str = "") -> client.Configuration:
    """Return what ``$KUBECONFIG`` or ``~/.kube/config`` leads to, or the cluster around a pod.

    Raises kubernetes.config.ConfigException where neither is there, or no such context.
    """
    configuration = client.Configuration()
    try:
        config.load_kube_config(
            # Read now: the library would take what it was when it was imported.
            config_file=os.environ.get("KUBECONFIG"),
            context=context or None,
            client_configuration=configuration,
        )
    except config.ConfigException as no_file:
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            raise no_file from None
    configuration.retries = 1
    # At DEBUG it logs whole answers, secrets included.
    logging.getLogger("kubernetes.client.rest").setLevel(logging.INFO)
    return configuration
