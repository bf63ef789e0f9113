"""Run the pipeline on a schedule: python recurring_run.py "0 0 2 * * 0" parameters.yaml

The schedule begins with seconds: the one above is Sundays at two. A run that changes nothing costs
next to nothing: what has not changed behind the URIs is taken from earlier runs. KFP_ENDPOINT says
where Kubeflow Pipelines is, and KFP_TOKEN who asks. `kfp recurring-run` cannot name the account of
the runs, and sends every parameter as text.
"""

import os
import sys
from pathlib import Path

import kfp
import yaml

from stt_bootstrap.pipelines.cluster import SERVICE_ACCOUNT
from stt_bootstrap.pipelines.package import PACKAGE, check_parameters

NAME = "stt-bootstrap-recurring"


def schedule(cron_expression: str, parameters: Path) -> str:
    """Make the schedule and return its id; an earlier one stays until it is deleted."""
    values = check_parameters(yaml.safe_load(parameters.read_text(encoding="utf-8")))
    client = kfp.Client(
        host=os.environ["KFP_ENDPOINT"],
        namespace=os.environ.get("KFP_NAMESPACE", "kubeflow"),
        existing_token=os.environ.get("KFP_TOKEN"),
    )
    recurring = client.create_recurring_run(
        experiment_id=client.create_experiment(NAME).experiment_id,
        job_name=NAME,
        cron_expression=cron_expression,
        max_concurrency=1,
        no_catchup=True,
        params=values,
        pipeline_package_path=str(PACKAGE),
        service_account=SERVICE_ACCOUNT,
    )
    return str(recurring.recurring_run_id)


if __name__ == "__main__":
    print(schedule(sys.argv[1], Path(sys.argv[2])))
