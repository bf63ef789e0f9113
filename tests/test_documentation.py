"""The documents: links lead somewhere, examples run, the site can be built."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stt_model

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "components/*/README.md", "manifests/**/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(text):
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    dead = []
    for link in LINK.findall(without_code(document.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        if target.parent == ROOT / "docs" / "reference":
            # Made when the site is built, which fails where it is not there.
            continue
        if not target.exists() or (
            anchor and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            dead.append(link)
    assert not dead


def made():
    """Return the targets of the Makefile that have a rule."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))


def test_every_target_that_make_is_told_of_has_a_rule():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)[1].split()
    assert sorted(phony) == sorted(made())


@pytest.mark.parametrize(
    "document",
    [*DOCUMENTS, ROOT / "tests" / "benchmarks" / "README.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_target_that_a_document_names_can_be_made(document):
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"(?:`|^ {4})make ([a-z][a-z-]*)", text, flags=re.MULTILINE)
    assert set(named) <= made()


def test_the_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180


def test_the_readme_names_every_guide():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"docs/{page.name}" in readme, page.name


def test_the_architecture_names_every_package_in_the_order_that_is_checked():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = settings["importlinter:contract:order"]["layers"].split()
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## The packages of stt_model")[2].partition("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == layers[::-1]


def test_the_guide_to_python_names_what_there_is():
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    used = set(re.findall(r"stt_model\.(\w+)", text))
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?) \|", text, re.MULTILINE))))
    assert used
    assert not (used | listed) - set(stt_model.__all__)


def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "--drop_source_layers" in commands
    api = (tmp_path / "site" / "reference" / "api.html").read_text(encoding="utf-8")
    assert "load_checkpoint_dir" in api
