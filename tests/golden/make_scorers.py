"""Make the language models in ``scorers/`` with KenLM's programs.

    python tests/golden/make_scorers.py KENLM_BINS OUTPUT

KENLM_BINS holds ``lmplz``, ``filter`` and ``build_binary``; OUTPUT is a new folder.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from stt_bootstrap.demo.corpora import MACEDONIAN, SOURCE
from stt_bootstrap.demo.synthesis import plan_corpus

SENTENCES = 7000


def main(kenlm_bins: Path, output: Path) -> None:
    output.mkdir(parents=True)
    spoken = plan_corpus(replace(SOURCE, train=SENTENCES, dev=0, test=0, seed=21))["train"]
    make(kenlm_bins, output / "words.binary", (clip.text for clip in spoken), order=3)
    draw = random.Random(1)
    written = ("".join(draw.choices(MACEDONIAN, k=draw.randint(2, 5))) for _ in range(SENTENCES))
    make(kenlm_bins, output / "letters.binary", map(" ".join, written), order=4)


def make(kenlm_bins: Path, output: Path, lines: Iterable[str], order: int) -> None:
    """Smooth as ``lmplz`` does, quantise and compress as Coqui STT's ``generate_lm.py`` asks."""
    arpa = output.with_suffix(".arpa")
    subprocess.run(
        [
            *(kenlm_bins / "lmplz", "--order", str(order), "--prune", "0", "0", "1"),
            *("--discount_fallback", "--memory", "1G", "--arpa", arpa),
        ],
        input="\n".join(lines),
        text=True,
        check=True,
    )
    subprocess.run(
        [kenlm_bins / "build_binary", "-a", "255", "-q", "8", "-v", "trie", arpa, output],
        check=True,
    )
    arpa.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
