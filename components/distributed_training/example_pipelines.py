"""Example: a pipeline with the component distributed_training."""

from kfp import components, dsl, kubernetes

distributed_training = components.load_component_from_file(
    "components/distributed_training/component.yaml"
)


@dsl.pipeline(name="train-on-four-nodes")
def train_on_four_nodes(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    alphabet: dsl.Input[dsl.Artifact],
) -> dsl.Model:
    trained = distributed_training(
        dataset=dataset,
        checkpoint=checkpoint,
        model_alphabet=alphabet,
        run_state_uri="s3://speech/runs/1",
        nodes=4,
    )
    kubernetes.use_secret_as_env(
        trained,
        "stt-bootstrap-store",
        {name: name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    )
    return trained.outputs["trained_checkpoint"]
