"""The example of a schedule, against an API of Kubeflow Pipelines that is played."""

import json
import re
import runpy

import kfp_server_api
import pytest

from stt_bootstrap.pipelines.package import ParameterError
from tests.manifests.render import SOURCES
from tests.pipelines.kubeflow_server import KubeflowServer


class SchedulingServer(KubeflowServer):
    """Takes recurring runs too."""

    def __init__(self):
        super().__init__()
        self.schedules = []

    def _find(self, request, path):
        if request.command == "POST" and re.fullmatch(r".*/recurringruns", path):
            return self._create_recurring_run
        return super()._find(request, path)

    def _create_recurring_run(self, query, request, body):
        self.schedules.append(json.loads(body))
        return kfp_server_api.V2beta1RecurringRun(recurring_run_id="recurring-1")


@pytest.fixture
def schedule():
    return runpy.run_path(str(SOURCES / "examples/recurring_run.py"))["schedule"]


def test_a_schedule_is_made(schedule, tmp_path, monkeypatch):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("dataset_uri: s3://a/b\ncheckpoint_uri: s3://a/c\nepochs: 3\n")
    with SchedulingServer() as server:
        monkeypatch.setenv("KFP_ENDPOINT", server.endpoint)
        assert schedule("0 0 2 * * 0", parameters) == "recurring-1"
    [sent] = server.schedules
    assert sent["trigger"]["cron_schedule"]["cron"] == "0 0 2 * * 0"
    assert sent["service_account"] == "stt-bootstrap-runner"
    assert sent["max_concurrency"] == 1
    assert sent["runtime_config"]["parameters"] == {
        "dataset_uri": "s3://a/b",
        "checkpoint_uri": "s3://a/c",
        "epochs": "3",
    }
    assert sent["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "stt-bootstrap"
    assert set(sent["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}


def test_parameters_are_checked_before_anything_is_sent(schedule, tmp_path):
    (tmp_path / "parameters.yaml").write_text("dataset_uri: s3://a/b\nepochs: many\n")
    with pytest.raises(ParameterError, match=r"checkpoint_uri.*epochs"):
        schedule("0 0 2 * * 0", tmp_path / "parameters.yaml")
