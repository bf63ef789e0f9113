"""Kubeflow component: checkpoint fetching."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def checkpoint_fetch(
    checkpoint_uri: str,
    checkpoint: dsl.Output[dsl.Model],
    checkpoint_report: dsl.Output[dsl.Markdown],
    checkpoint_digest: str = "",
    expected_sha256: str = "",
    checkpoint_alphabet_uri: str = "",
    bytes_output_mode: bool = False,
) -> NamedTuple("Outputs", [("sha256", str)]):  # type: ignore[valid-type]
    """Fetch a Coqui STT or DeepSpeech model and open it, so that a damaged one fails early.

    Args:
        checkpoint_uri: Folder, tar or zip archive, or deployed model (.tflite, .pb, .pbmm), as a
            path, file://, s3:// or http(s):// URI.
        checkpoint_digest: Digest of that checkpoint, from source_digests; recorded with it.
        expected_sha256: Expected SHA-256 of the checkpoint, in hexadecimal; empty for no check.
        checkpoint_alphabet_uri: The checkpoint's alphabet file, if the checkpoint holds none; empty
            for none.
        bytes_output_mode: Whether the checkpoint's labels are the bytes of UTF-8, if the checkpoint
            does not say so.

    Returns:
        checkpoint: Checkpoint folder in Coqui's layout, with its geometry as metadata.
        checkpoint_report: Description of the checkpoint, in Markdown.
        sha256: SHA-256 of the fetched checkpoint, which a later run can expect.
    """
    from pathlib import Path

    from stt_model import jobs

    fetched = jobs.fetch(
        checkpoint_uri,
        checkpoint.path,
        sha256=expected_sha256,
        alphabet_uri=checkpoint_alphabet_uri,
        bytes_output_mode=bytes_output_mode,
        report=Path(checkpoint_report.path),
    )
    checkpoint.metadata.update(fetched.metadata)
    checkpoint.metadata["source_digest"] = checkpoint_digest
    return (fetched.sha256,)
