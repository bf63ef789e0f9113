"""Build a scorer from text with KenLM's programs, following Coqui STT's ``generate_lm.py``.

The programs are ``lmplz``, ``filter`` and ``build_binary``. No package registry has them compiled:
build them from KenLM's source with CMake, a C++ compiler and Boost.
"""

from __future__ import annotations

import gzip
import itertools
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stt_model.base import ScorerError
from stt_model.decoding.building_config import BuildConfig
from stt_model.decoding.scorer import write_package


def build_scorer(config: BuildConfig) -> int:
    """Build the package that ``config`` describes; return the size of its vocabulary.

    For a model in bytes output mode the units are characters, without spaces.

    Raises:
        ScorerError: a program of KenLM is missing or fails, or the text has no usable word.
    """
    lmplz, filter_, build_binary = (
        _find_program(name, config.kenlm_bins) for name in ("lmplz", "filter", "build_binary")
    )
    config.package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=config.package.parent, prefix=".scorer-") as folder:
        sentences, arpa, filtered, binary = (
            Path(folder) / name for name in ("text", "arpa", "filtered", "binary")
        )
        words = _write_units(config, sentences)
        if not words:
            raise ScorerError(f"{config.input_txt}: expected words to learn from, found none")
        smoothing = ["--discount_fallback"] if config.discount_fallback else []
        _run(
            *(lmplz, "--order", config.arpa_order, "--text", sentences, "--arpa", arpa),
            *("--prune", *config.arpa_prune.split("|"), *smoothing),
            *("--memory", config.max_arpa_memory, "--temp_prefix", folder),
        )
        _run(filter_, "single", f"model:{arpa}", filtered, given="\n".join(words))
        bits = ["-a", config.binary_a_bits, "-q", config.binary_q_bits]
        compression = bits if config.binary_type == "trie" else []
        _run(build_binary, *compression, "-v", config.binary_type, filtered, binary)
        return write_package(
            config.package,
            binary,
            words,
            config.alphabet,
            lm_alpha=config.default_alpha,
            lm_beta=config.default_beta,
        )


def _write_units(config: BuildConfig, target: Path) -> list[str]:
    """Write the text as units separated by spaces; return the most frequent valid units."""
    counts: Counter[str] = Counter()
    with target.open("w", encoding="utf-8") as file:
        for line in _read_lines(config):
            units = list("".join(line.split())) if config.alphabet.is_bytes else line.split()
            counts.update(units)
            file.write(" ".join(units) + "\n")
    writable = (word for word, _ in counts.most_common() if not config.alphabet.missing(word))
    return list(itertools.islice(writable, config.top_k))


def _read_lines(config: BuildConfig) -> Iterator[str]:
    lower = not any(label.isupper() for label in config.alphabet.labels)
    with config.input_txt.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if is_gzip else open)(config.input_txt, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield line.lower() if lower else line
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise ScorerError(f"{config.input_txt}: expected text in UTF-8: {error}") from error


def _find_program(name: str, folder: Path | None) -> str:
    found = shutil.which(name, path=folder)
    if found is None:
        where = f"in {folder}" if folder else "on the PATH"
        raise ScorerError(
            f"expected KenLM's program {name} {where}, found none; build KenLM from source"
            " (https://github.com/kpu/kenlm) and name the folder with --kenlm_bins"
        )
    return found


def _run(program: str, *arguments: object, given: str | None = None) -> None:
    run = subprocess.run(
        [program, *map(str, arguments)],
        input=given,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if run.returncode:
        # Its last message that is not a progress bar.
        said = [line for line in run.stderr.splitlines() if line.strip("-*0123456789 ")]
        problem = said[-1].strip() if said else f"exit code {run.returncode}"
        raise ScorerError(f"{Path(program).name} failed: {problem}")
