"""Kubeflow component: the end of a sweep."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def sweep_winner(
    prepared: dsl.Input[dsl.Dataset],
    finished: list,  # type: ignore[type-arg]
    sweep_uri: str,
    leaderboard: dsl.Output[dsl.HTML],
    leaderboard_metrics: dsl.Output[dsl.Metrics],
    trained_checkpoint: dsl.Output[dsl.Model],
    exported_model: dsl.Output[dsl.Model],
    evaluation_page: dsl.Output[dsl.HTML],
    first_rung: int = 5,
    second_rung: int = 15,
    choose_by: str = "cer",
) -> NamedTuple("Outputs", [("wer", float), ("cer", float), ("summary", str)]):  # type: ignore[valid-type]
    """Rank all trainings of a sweep, test the winner on the test split, and export it.

    Args:
        prepared: The output of sweep_preparation.
        finished: Digests of the finished trainings.
        sweep_uri: Folder for the results of all trainings, as a path, file:// or s3:// URI.
        first_rung: Epoch after which the first trainings were stopped.
        second_rung: Epoch after which the next trainings were stopped.
        choose_by: Dev error rate by which trainings are ranked.

    Returns:
        leaderboard: All trainings, the best first, with intervals and matched-pairs tests.
        leaderboard_metrics: The winner's error rates and settings.
        trained_checkpoint: The winner, in Coqui's layout.
        exported_model: The winner as deployed runtimes load it.
        evaluation_page: Results of the winner on the test split, which was not used to choose it.
        wer: Word error rate of the winner on the test split.
        cer: Character error rate of the winner on the test split.
        summary: The winner and its error rate, in one line.
    """
    from pathlib import Path

    from stt_model import jobs

    board, tested = jobs.finish_sweep(
        Path(prepared.path),
        finished,
        [first_rung, second_rung],
        sweep_uri,
        choose_by=choose_by,
        checkpoint=Path(trained_checkpoint.path),
        export=Path(exported_model.path),
        leaderboard=Path(leaderboard.path),
        page=Path(evaluation_page.path),
    )
    figures = {**board.metrics(), "winner_wer": tested.wer, "winner_cer": tested.cer}
    for name, value in figures.items():
        leaderboard_metrics.log_metric(name, value)
    return (tested.wer, tested.cer, board.summary)
