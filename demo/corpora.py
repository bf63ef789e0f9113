"""Word lists of several languages, and corpora drawn from them: the demo's, and the benchmarks'.

English is what the source checkpoint learnt. Swahili, Indonesian and Basque are written with
letters that English has too, so they are fine-tuned; Macedonian is Cyrillic, and Czech and Turkish
have letters of their own, so they are transferred to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stt_bootstrap.demo.synthesis import CorpusSpec

SOURCE_CHECKPOINT = Path(__file__).with_name("source_checkpoint")
"""What Coqui STT 1.4.0 learnt from the corpus ``SOURCE``."""


def _read_words(name: str) -> tuple[str, ...]:
    path = Path(__file__).parent / "words" / f"{name}.txt"
    return tuple(path.read_text(encoding="utf-8").split())


ENGLISH = _read_words("english")
SWAHILI = _read_words("swahili")
MACEDONIAN = _read_words("macedonian")

ENGLISH_ACCENTS = (
    "en-us",
    "en",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-us-nyc",
    "en-gb-x-gbclan",
    "en-029",
)
# None with breath in its definition (such as f2): those sound a little different on every run.
VARIANTS = (
    *("m1", "m2", "m3", "m4", "m7", "f1", "f4"),
    *("Alex", "Andrea", "benjamin", "linda", "steph"),
)
HELD_OUT_VARIANTS = ("m5", "m6", "Annie", "belinda")

SOURCE = CorpusSpec(
    words=ENGLISH,
    languages=ENGLISH_ACCENTS,
    variants=VARIANTS,
    held_out_variants=HELD_OUT_VARIANTS,
    train=7000,
    dev=200,
    test=300,
    seed=1,
)

SWAHILI_DEMO = CorpusSpec(
    words=SWAHILI,
    languages=("sw",),
    variants=VARIANTS,
    held_out_variants=HELD_OUT_VARIANTS,
    train=300,
    dev=60,
    test=80,
    seed=2,
)

MACEDONIAN_DEMO = CorpusSpec(
    words=MACEDONIAN,
    languages=("mk",),
    variants=VARIANTS,
    held_out_variants=HELD_OUT_VARIANTS,
    train=300,
    dev=60,
    test=80,
    seed=3,
)

CZECH = _read_words("czech")
CZECH_DEMO = CorpusSpec(
    words=CZECH,
    languages=("cs",),
    variants=VARIANTS,
    held_out_variants=HELD_OUT_VARIANTS,
    train=300,
    dev=60,
    test=80,
    seed=4,
)

INDONESIAN_DEMO = replace(CZECH_DEMO, words=_read_words("indonesian"), languages=("id",), seed=5)
BASQUE_DEMO = replace(CZECH_DEMO, words=_read_words("basque"), languages=("eu",), seed=6)
TURKISH_DEMO = replace(CZECH_DEMO, words=_read_words("turkish"), languages=("tr",), seed=7)
