"""What Kubeflow sees of checkpoint fetching."""

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
        checkpoint_digest: Its digest, of source_digests; kept with the checkpoint.
        expected_sha256: Digest that it must have, in hexadecimal; empty for no check.
        checkpoint_alphabet_uri: The checkpoint's alphabet file, if it does not hold one; empty for
            none.
        bytes_output_mode: Whether the checkpoint's labels are the bytes of UTF-8, if it does not
            say so itself.

    Returns:
        checkpoint: Checkpoint folder in Coqui's layout, with its geometry as metadata.
        checkpoint_report: The checkpoint described for people.
        sha256: Digest of what was fetched, to be expected the next time.
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
