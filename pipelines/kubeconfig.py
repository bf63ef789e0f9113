"""Address and credentials of the Kubernetes API."""

from __future__ import annotations

import logging
import os

from kubernetes import client, config


def cluster_configuration(context: str = "") -> client.Configuration:
    """Return the configuration of ``$KUBECONFIG``, ``~/.kube/config`` or the cluster of this pod.

    Raises kubernetes.config.ConfigException if there is none, or no such context.
    """
    configuration = client.Configuration()
    try:
        config.load_kube_config(
            # Read now: the library reads it only once, when it is imported.
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
    # At level DEBUG the client logs whole responses, secrets included.
    logging.getLogger("kubernetes.client.rest").setLevel(logging.INFO)
    return configuration
