"""Kubeflow component: the look for changes."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def source_digests(
    dataset_uri: str,
    checkpoint_uri: str,
    alphabet_uri: str = "",
    scorer_uri: str = "",
    drop_suspects_uri: str = "",
    checkpoint_alphabet_uri: str = "",
    unlabelled_uri: str = "",
    run_state_uri: str = "",
    export_uri: str = "",
    forecast: bool = False,
    nodes: int = 1,
) -> NamedTuple(  # type: ignore[valid-type]
    "Outputs",
    [
        ("dataset_digest", str),
        ("checkpoint_digest", str),
        ("alphabet_digest", str),
        ("scorer_digest", str),
        ("unlabelled_digest", str),
    ],
):
    """Detect the versions behind URIs, for steps that may be cached, and test the output folders.

    Never cache this component: pass its outputs to the steps that read the URIs, and cache those.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path,
            file:// or s3:// URI.
        checkpoint_uri: Checkpoint folder, archive or deployed model, as a path, file://, s3:// or
            http(s):// URI.
        alphabet_uri: Alphabet file; empty for none.
        scorer_uri: Scorer package; empty for none.
        drop_suspects_uri: File suspects.csv of an earlier run, as a path or URI: rows of the train
            and dev splits that it marks with drop are left out; empty for none.
        checkpoint_alphabet_uri: The checkpoint's alphabet file, if the checkpoint holds none; empty
            for none.
        unlabelled_uri: Recordings without transcripts: a folder, archive or file, as a path or URI.
            Clips of which the trained model is certain are added with its text, and it is trained
            again; the second model is kept only if it is significantly better on the dev split,
            which needs 30 clips or more. Empty for none.
        run_state_uri: Folder for the state of the training; if it is an s3:// URI, this step fails
            unless an empty object can be stored there. Empty for none.
        export_uri: Folder that the export is copied to, checked in the same way; empty for none.
        forecast: Train on parts of the training split too, and forecast the error rate with more
            speech; this takes about as long as training again.
        nodes: Number of nodes that training uses; with more than one, this step refuses settings
            that need one node, or that lack what several nodes need.

    Returns:
        dataset_digest: Digest of the manifests, of every clip that they name, and of the list of
            clips to leave out.
        checkpoint_digest: Digest of the checkpoint, and of its alphabet file if one is given.
        alphabet_digest: Digest of the alphabet file; empty for none.
        scorer_digest: Digest of the scorer package; empty for none.
        unlabelled_digest: Digest of the recordings without transcripts; empty for none.
    """
    from stt_model import jobs

    return jobs.digest_sources(
        dataset_uri,
        checkpoint_uri=checkpoint_uri,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        drop_suspects_uri=drop_suspects_uri,
        checkpoint_alphabet_uri=checkpoint_alphabet_uri,
        unlabelled_uri=unlabelled_uri,
        run_state_uri=run_state_uri,
        export_uri=export_uri,
        forecast=forecast,
        nodes=nodes,
    )
