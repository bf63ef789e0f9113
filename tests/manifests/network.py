"""What NetworkPolicies let through, by the rules of Kubernetes' documentation."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """The other end of a connection: a pod, or an address outside of the cluster."""

    address: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "other selectors are not used"
    return selector.get("matchLabels", {}).items() <= labels.items()


def _is_meant(rule_peer: Mapping[str, Any], peer: Peer, own_namespace: str) -> bool:
    if "ipBlock" in rule_peer:
        if not peer.address:
            return False
        address, block = ipaddress.ip_address(peer.address), rule_peer["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(cidr) for cidr in block.get("except", [])
        )
    if not peer.namespace:
        return False
    spaces = rule_peer.get("namespaceSelector")
    in_space = (
        peer.namespace == own_namespace
        if spaces is None
        else _selects(spaces, {"kubernetes.io/metadata.name": peer.namespace})
    )
    return in_space and _selects(rule_peer.get("podSelector", {}), peer.labels)


def lets_through(
    policies: Iterable[Policy],
    pod: Mapping[str, str],
    peer: Peer,
    port: int,
    *,
    protocol: str = "TCP",
    direction: str = "egress",
) -> bool:
    """Tell whether a pod with these labels may connect to a peer, or be reached by it."""
    ends = {"egress": "to", "ingress": "from"}[direction]
    holding = [
        policy
        for policy in policies
        if _selects(policy["spec"]["podSelector"], pod)
        and direction.title() in policy["spec"]["policyTypes"]
    ]
    if not holding:
        return True
    for policy in holding:
        for rule in policy["spec"].get(direction, []):
            namespace = policy["metadata"]["namespace"]
            peers = rule.get(ends)
            meant = not peers or any(_is_meant(each, peer, namespace) for each in peers)
            ports = rule.get("ports")
            if meant and (
                not ports
                or any(
                    each.get("protocol", "TCP") == protocol and each["port"] == port
                    for each in ports
                )
            ):
                return True
    return False
