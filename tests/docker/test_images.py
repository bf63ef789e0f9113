"""The rules of the images that can be checked without an engine."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stt_bootstrap.components import images
from stt_bootstrap.pipelines.package import PACKAGE

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
LOCKS = sorted(DOCKER.glob("*.txt"))


def instructions():
    """Return the instructions of the Dockerfile in order, as (name, rest of the line)."""
    text = (DOCKER / "Dockerfile").read_text()
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def final_stage():
    everything = instructions()
    last = max(n for n, (name, _) in enumerate(everything) if name == "FROM")
    return everything[last + 1 :]


def packages(lock):
    """Return what a lock file installs: versions by name, for every Python and platform."""
    versions = {}
    for line in lock.read_text().splitlines():
        if not line.startswith(" "):
            requirement = Requirement(line.removesuffix(" \\"))
            versions.setdefault(canonicalize_name(requirement.name), set()).add(
                str(requirement.specifier)
            )
    return versions


def requirements(*extras):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"]]
    texts += [config["options.extras_require"][extra] for extra in extras]
    lines = [line for text in texts for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_every_image_has_a_lock_file_and_none_is_left_over():
    assert {path.stem for path in LOCKS} == {*images.NAMES, "build", "executor"}


def test_images_of_the_pipeline_are_built():
    used = set(re.findall(r"^\s+image: (\S+)$", PACKAGE.read_text(), re.MULTILINE))
    assert used
    assert used <= {images.reference(name) for name in images.NAMES}


def test_stages_begin_at_the_base_and_the_base_is_pinned():
    ((_, base),) = [(name, rest) for name, rest in instructions() if rest.startswith("BASE=")]
    assert re.fullmatch(r"BASE=\S+:3\.11\.\d+-\S+@sha256:[0-9a-f]{64}", base)
    sources = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    named = [rest.split()[2] for name, rest in instructions() if name == "FROM" and " AS " in rest]
    assert set(sources) <= {"${BASE}", *named}
    assert sources[-1] == "${BASE}"


def test_final_stage_runs_nothing_and_adds_nothing_from_elsewhere():
    names = [name for name, _ in final_stage()]
    assert "RUN" not in names
    assert "ADD" not in [name for name, _ in instructions()]
    copied = [rest for name, rest in final_stage() if name == "COPY"]
    assert copied
    assert all(rest.startswith("--from=") for rest in copied)


def test_user_is_a_number_and_not_root():
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == [f"{images.USER}:{images.USER}"]
    assert images.USER >= 1000


def test_nobody_asks_a_step_for_its_health():
    assert ("HEALTHCHECK", "NONE") in final_stage()


@pytest.mark.parametrize("label", ["title", "version", "revision", "licenses"])
def test_labels(label):
    (labels,) = [rest for name, rest in final_stage() if name == "LABEL"]
    assert f"org.opencontainers.image.{label}=" in labels


def test_packages_are_installed_by_hash_and_as_wheels():
    runs = " ".join(rest for name, rest in instructions() if name == "RUN")
    installs = re.findall(r"pip(?: --python \S+)? (?:install|wheel)(.*?)(?:&&|$)", runs)
    assert len(installs) == 3
    for options in installs:
        assert "--no-index" in options or "--require-hashes" in options
        assert "--no-index" in options or "--only-binary :all:" in options


def test_secrets_of_a_build_are_mounted_and_never_copied():
    copied = " ".join(rest for name, rest in instructions() if name == "COPY")
    for secret in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        assert re.search(
            rf"--mount=type=secret,id=[\w.]+,target={re.escape(secret)} ",
            " ".join(rest for name, rest in instructions() if name == "RUN"),
        )
        assert secret not in copied


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_everything_in_a_lock_file_has_hashes(lock):
    blocks = re.split(r"\n(?! )", lock.read_text().strip())
    assert blocks
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
        assert "==" in block.partition("\n")[0]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_images_have_the_versions_that_are_tested(lock):
    constraints = packages(ROOT / "constraints.txt")
    differ = {
        name: sorted(versions)
        for name, versions in packages(lock).items()
        if name in constraints and not versions <= constraints[name]
    }
    assert not differ, "run: make lock"


@pytest.mark.parametrize(
    ("lock", "extras", "others"),
    [
        ("light", [], {}),
        ("model", ["train", "align"], {"tensorflow": "tensorflow-cpu"}),
        ("model-gpu", ["train", "align"], {}),
    ],
)
def test_lock_files_hold_what_setup_cfg_asks_for(lock, extras, others):
    locked = packages(DOCKER / f"{lock}.txt")
    asked = {canonicalize_name(requirement.name) for requirement in requirements(*extras)}
    assert not {others.get(name, name) for name in asked} - set(locked), "run: make lock"


def test_light_image_has_no_tensorflow():
    assert not {"tensorflow", "tensorflow-cpu", "keras"} & set(packages(DOCKER / "light.txt"))


def test_light_image_runs_the_command_line_without_what_the_model_needs():
    extra = {"av", "flashlight", "jinja2", "jiwer", "keras", "loky", "optuna", "tensorflow"}
    script = "import sys, stt_model.cli.data, stt_model.jobs.checkpoints; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not extra & set(done.stdout.split())


def test_build_context_is_named_file_by_file():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert allowed == {
        *("docker/*.txt", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"),
        *("stt_model", "stt_bootstrap", "components", "pipelines"),
    }
