"""The image references of all components.

``localhost`` never resolves to a public registry: an image that was not built is reported as
missing, not pulled from elsewhere. ``pipelines.compile`` writes packages for other registries.
"""

from stt_model import __version__

REGISTRY = "localhost/stt-bootstrap"
TAG = __version__

# Default uid and gid of the images.
USER = 1000

# The targets of docker/Dockerfile, each built from the lock file of its name.
NAMES = ("light", "model", "model-gpu")


def reference(name: str, registry: str = REGISTRY, tag: str = TAG) -> str:
    """Return the reference of an image, such as ``localhost/stt-bootstrap/light:0.1.0``."""
    return f"{registry}/{name}:{tag}"


# Without TensorFlow, so that the data steps start in a second.
LIGHT = reference("light")
# For GPUs, compile with model-gpu in its place: ``stt-bootstrap compile --image model=…``.
MODEL = reference("model")
