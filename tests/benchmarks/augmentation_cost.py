"""What each augmentation costs, beside features of clips as they are.

Run as ``python -m tests.benchmarks.augmentation_cost``. What is measured is in ``README.md`` beside
this file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from stt_model.augmentation.specification import AUGMENTATIONS, Augmenter, parse_augmentations
from stt_model.corpus.dataset import Samples, read_samples
from stt_model.network.startup import import_tensorflow_quietly
from stt_model.text.alphabet_file import read_alphabet
from tests.benchmarks.noise_corpus import NoiseCorpus, write_noise_corpus


@dataclass(frozen=True)
class Cost:
    """Processor time of one way to make features."""

    name: str
    seconds: float
    """Of one core, for an utterance."""


def measure(corpus: NoiseCorpus, runs: int) -> list[Cost]:
    """Measure clips as they are, then each augmentation of all clips, with its defaults."""
    samples = read_samples([corpus.manifest], read_alphabet(corpus.alphabet))
    ways = dict(_ways(samples))
    for features_of in ways.values():
        features_of(0)
    # In turn, so that what else the machine does meets all of them.
    rounds = [
        [_seconds(features_of, len(samples)) for features_of in ways.values()] for _ in range(runs)
    ]
    return [Cost(name, median(times)) for name, *times in zip(ways, *rounds, strict=True)]


def _ways(samples: Samples) -> Iterator[tuple[str, Callable[[int], object]]]:
    import_tensorflow_quietly()
    from stt_model.features.augmented import augment_epoch
    from stt_model.features.batches import plan_batches
    from stt_model.features.store import FeatureStore

    # Nothing is kept, so that augmentations of features start from the clip too.
    store, batches = FeatureStore(samples, limit=0), plan_batches(samples, 1)
    yield "(none)", store.__getitem__
    noise = samples.utterance(0).path
    for name in AUGMENTATIONS:
        specification = f"{name}[source={noise}]" if name == "overlay" else name
        augmenter = Augmenter(parse_augmentations(specification), seed=1)
        yield name, augment_epoch(store, augmenter, batches, epoch=1, epochs=1).__getitem__


def _seconds(features_of: Callable[[int], object], rows: int) -> float:
    started = time.process_time()
    for row in range(rows):
        features_of(row)
    return (time.process_time() - started) / rows


def to_table(costs: Sequence[Cost]) -> str:
    """Return the costs as a Markdown table, with what each adds to the first."""
    lines = ["| augmentation | utterances/s | adds ms |", "| --- | ---: | ---: |"]
    for cost in costs:
        added = 1000 * (cost.seconds - costs[0].seconds)
        lines.append(f"| {cost.name} | {1 / cost.seconds:.0f} | {added:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--utterances", type=int, default=60, metavar="N")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="medians are over these")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_noise_corpus(Path(folder), options.utterances)
        costs = measure(corpus, options.runs)
        seconds = corpus.seconds / corpus.utterances
    print(f"One core, utterances of {seconds:.1f} s on average:\n\n{to_table(costs)}")


if __name__ == "__main__":
    main()
