"""Room for all nodes of a training at once, and a state that they share."""

import pytest

from stt_bootstrap.pipelines.compile import compile_all
from stt_bootstrap.pipelines.preflight.findings import Status
from stt_bootstrap.pipelines.variant import Variant
from tests.pipelines.kubernetes_server import NAMESPACE, node, pod
from tests.pipelines.preflight.checked import GPU, only

QUOTAS = f"{NAMESPACE}/resourcequotas"


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """A package that trains on three nodes."""
    return compile_all(tmp_path_factory.mktemp("spread"), variant=Variant(nodes=3))[-1]


@pytest.fixture
def room(look, spread, api):
    api.objects[QUOTAS] = []
    api.objects["/api/v1/pods"] = []

    def look_for(machines, **plan):
        api.objects["/api/v1/nodes"] = machines
        return look("node room", package=spread, **plan)

    return look_for


def test_a_package_for_one_node(look):
    assert only(look("node room"), Status.OK).found == "the package trains on one node"


def test_a_machine_for_each_node(room):
    finding = only(room([node(name) for name in ("a", "b", "c")]), Status.OK)
    assert finding.found == "3 nodes of cpu 8, memory 32Gi each: 2 on a, 2 on b, 2 on c"


def test_machines_that_are_too_few(room):
    # Each has room for one: 40 GiB.
    machines = [node(name, memory="40Gi") for name in ("a", "b")]
    finding = only(room(machines), Status.FAILED)
    assert finding.found.endswith("the cluster has room for 2 if nothing else runs there")
    assert "fewer --nodes" in finding.remedy


def test_machines_that_others_use(room, api):
    machines = [node(name, memory="40Gi") for name in ("a", "b", "c")]
    api.objects["/api/v1/pods"] = [pod("b", cpu="1", memory="20Gi")]
    room(machines)
    finding = only(room(machines), Status.WARNING)
    assert "room for 2 now, 1 on a, 1 on c" in finding.found
    assert "wait for the others" in finding.remedy


def test_machines_that_several_nodes_would_share(room):
    finding = only(room([node("a"), node("b")]), Status.WARNING)
    assert "there is room, 2 on a, 2 on b, but not on 3 machines" in finding.found


def test_machines_that_keep_the_pods_out(room):
    machines = [node(name) for name in ("a", "b", "c")]
    machines[0]["spec"]["taints"] = [{"key": "gpu", "effect": "NoSchedule"}]
    plan = {"training_memory": "40Gi"}
    assert "room for 2 if" in only(room(machines, **plan), Status.FAILED).found
    tolerant = {"tolerations": [{"operator": "Exists"}]}
    only(room(machines, **plan, **tolerant), Status.OK)


def test_gpus_of_each_node(room):
    machines = [node(name, **{"nvidia.com/gpu": "2"}) for name in ("a", "b", "c")]
    only(room(machines, **GPU), Status.OK)
    machines[2]["status"]["allocatable"]["nvidia.com/gpu"] = "1"
    assert "room for 2 if" in only(room(machines, **GPU), Status.FAILED).found


def test_a_quota_that_holds_one_node_and_not_all(room, api):
    hard = {"requests.cpu": "30", "requests.memory": "80Gi", "pods": "10"}
    status = {"hard": hard, "used": {"requests.cpu": "8", "pods": "8"}}
    api.objects[QUOTAS] = [{"metadata": {"name": "q"}, "spec": {}, "status": status}]
    # The machines are enough.
    fine, *found = room([node(name) for name in ("a", "b", "c")])
    assert fine.status is Status.OK
    assert [(each.status, each.found) for each in found] == [
        (Status.WARNING, "quota q: requests.cpu 24 for 3 nodes, 22 of 30 are left"),
        (Status.FAILED, "quota q: requests.memory 96Gi for 3 nodes, 80Gi of 80Gi are left"),
        (Status.WARNING, "quota q: pods 3 for 3 nodes, 2 of 10 are left"),
    ]


@pytest.mark.parametrize(
    ("uri", "one", "three"),
    [
        ("", Status.SKIPPED, Status.FAILED),
        ("/volume/runs", Status.WARNING, Status.FAILED),
        ("file:///volume/runs", Status.WARNING, Status.FAILED),
        ("s3://speech/runs", Status.OK, Status.OK),
    ],
)
def test_the_state_of_a_run_is_where_all_nodes_reach_it(look, spread, package, uri, one, three):
    only(look("run state", package=package, run_state_uri=uri), one)
    finding = only(look("run state", package=spread, run_state_uri=uri), three)
    if three is Status.FAILED:
        assert "3 nodes need a folder that all of them reach" in finding.found
        assert "s3://" in finding.remedy
