"""Scorers: a KenLM language model and the vocabulary of the search.

Coqui STT and DeepSpeech 0.7 and later keep both in one ``.scorer`` file: the language model in
KenLM's binary form; then ``TRIE`` as a little-endian number, a version, whether the units are the
characters of bytes output mode, the default alpha and beta, and the spellings of the vocabulary
as an automaton (``fst.py``) over labels counted from 1.
A language model alone, in KenLM's binary format or as ARPA text, works with a separate word list.
"""

from __future__ import annotations

import itertools
import logging
import mmap
import shutil
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stt_model.base import ScorerError, atomic_write, open_regular
from stt_model.decoding import fst
from stt_model.decoding.kenlm_header import KENLM_MAGIC, check_kenlm_header
from stt_model.decoding.search_defaults import DEFAULT_LM_ALPHA, DEFAULT_LM_BETA
from stt_model.text import Alphabet, describe_characters

log = logging.getLogger(__name__)

SENTENCE_MARKS = frozenset({"<s>", "</s>", "<unk>"})
_ARPA_HEAD = b"\\data\\"
_ARPA_UNIGRAMS = b"\\1-grams:"
_TRIE_HEADER = struct.Struct("<4si?dd")
_TRIE_MAGIC = b"EIRT"
_TRIE_VERSION = 6


@dataclass(frozen=True)
class Scorer:
    """A scorer in terms of one model's labels.

    Attributes:
        path: the file that KenLM reads the language model from.
        is_bytes: whether a unit is a character; otherwise it is a word, followed by a space.
        units: the vocabulary.
        spellings: the labels of each unit, including the space after a word.
        lm_alpha: default weight of the language model.
        lm_beta: default reward for a unit, in nats.
    """

    path: Path
    is_bytes: bool
    units: Sequence[str]
    spellings: Sequence[Sequence[int]]
    lm_alpha: float = DEFAULT_LM_ALPHA
    lm_beta: float = DEFAULT_LM_BETA


def read_scorer(path: Path, alphabet: Alphabet, vocab_file: Path | None = None) -> Scorer:
    """Read a scorer for a model with ``alphabet``.

    Args:
        path: a ``.scorer`` package, or a language model in KenLM's binary form or as ARPA text.
        alphabet: the model's, since packages hold labels, not characters.
        vocab_file: words that may be written, separated by white space. A package has its own;
            of an ARPA file all words are used unless this list is given.

    Raises:
        ScorerError: it is not a scorer, is truncated, or does not fit this alphabet.
    """
    with open_regular(path) as file:
        head = file.read(len(KENLM_MAGIC))
    if head.lstrip().startswith(_ARPA_HEAD):
        words = read_words(vocab_file) if vocab_file else _arpa_words(path)
    elif head == KENLM_MAGIC:
        check_kenlm_header(path)
        package = _read_package(path, alphabet)
        if package is not None:
            return package
        if vocab_file is None:
            raise ScorerError(
                f"{path}: expected a vocabulary behind the language model, found none; a .scorer"
                " may have been cut short or be older than DeepSpeech 0.7, and a KenLM model alone"
                " needs --vocab_file"
            )
        words = read_words(vocab_file)
    else:
        raise ScorerError(
            f"{path}: expected a .scorer, a KenLM binary or an ARPA file, found none of these"
        )
    return _from_words(path, words, alphabet)


def write_package(
    output: Path,
    language_model: Path,
    words: Iterable[str],
    alphabet: Alphabet,
    *,
    is_bytes: bool | None = None,
    lm_alpha: float = DEFAULT_LM_ALPHA,
    lm_beta: float = DEFAULT_LM_BETA,
) -> int:
    """Write a ``.scorer`` that Coqui STT 1.x reads; return its number of words.

    Args:
        output: the package; it appears whole or not at all.
        language_model: in KenLM's binary form.
        words: the vocabulary; words with other characters than the alphabet's are left out.
        alphabet: that of the model that the scorer is for.
        is_bytes: whether each word is one character of a model in bytes output mode; by default
            inferred from the words and the alphabet.
        lm_alpha: default weight of the language model.
        lm_beta: default reward for a word, in nats.

    Raises:
        ScorerError: the language model is not in KenLM's binary form, or no word is left.
    """
    with open_regular(language_model) as file:
        if file.read(len(KENLM_MAGIC)) != KENLM_MAGIC:
            raise ScorerError(
                f"{language_model}: expected KenLM's binary form, found another; make it with"
                " KenLM's build_binary"
            )
    check_kenlm_header(language_model)
    scorer = _from_words(language_model, words, alphabet, is_bytes)
    size = language_model.stat().st_size
    paths = [[label + 1 for label in spelling] for spelling in scorer.spellings]
    with atomic_write(output) as beside:
        shutil.copyfile(language_model, beside)
        with beside.open("ab") as file:
            file.write(
                _TRIE_HEADER.pack(_TRIE_MAGIC, _TRIE_VERSION, scorer.is_bytes, lm_alpha, lm_beta)
            )
            file.write(fst.write_paths(paths, size + _TRIE_HEADER.size))
    return len(scorer.units)


def copy_with_weights(source: Path, output: Path, lm_alpha: float, lm_beta: float) -> None:
    """Copy a ``.scorer`` package and give the copy these default weights.

    Raises:
        ScorerError: the source is no package.
    """
    at, _ = _find_trie(source)
    if at < 0:
        raise ScorerError(f"{source}: expected a .scorer package, found another file")
    with atomic_write(output) as beside:
        shutil.copyfile(source, beside)
        with beside.open("r+b") as file:
            file.seek(at)
            magic, version, is_bytes, _, _ = _TRIE_HEADER.unpack(file.read(_TRIE_HEADER.size))
            file.seek(at)
            file.write(_TRIE_HEADER.pack(magic, version, is_bytes, lm_alpha, lm_beta))


def read_words(path: Path) -> list[str]:
    """Return the words of a text file, separated by white space, each once."""
    try:
        with open_regular(path) as file:
            return list(dict.fromkeys(file.read().decode("utf-8").split()))
    except UnicodeDecodeError as error:
        raise ScorerError(f"{path}: expected words in UTF-8, found other bytes") from error


def _read_package(path: Path, alphabet: Alphabet) -> Scorer | None:
    """Return the package, or None if no vocabulary follows the language model."""
    at, data = _find_trie(path)
    if at < 0:
        return None
    try:
        _, _, is_bytes, lm_alpha, lm_beta = _TRIE_HEADER.unpack_from(data, at)
        groups = fst.read_paths(memoryview(data), at + _TRIE_HEADER.size)
    except (struct.error, ValueError) as error:
        raise ScorerError(
            f"{path}: expected a whole vocabulary behind the language model, but {error}; the"
            " scorer is damaged or cut short: copy it again"
        ) from error
    groups = [group - 1 for group in groups]
    _check_labels(path, groups, alphabet, is_bytes)
    spellings = [spelling for group in groups for spelling in group.tolist()]
    end = None if is_bytes else -1
    units = [alphabet.decode(spelling[:end]) for spelling in spellings]
    if len(set(units)) < len(units):
        raise ScorerError(
            f"{path}: expected each word once in the vocabulary, found some twice; the scorer is"
            " damaged: copy it again"
        )
    return Scorer(path, is_bytes, units, spellings, lm_alpha, lm_beta)


def _find_trie(path: Path) -> tuple[int, mmap.mmap]:
    """Return where the header of the vocabulary is, -1 if nowhere, and the file."""
    with open_regular(path) as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Only KenLM can tell where its part ends. But the vocabulary comes last, and its automaton must
    # end exactly at the end of the file.
    return data.rfind(_TRIE_MAGIC + struct.pack("<i", _TRIE_VERSION)), data


def _check_labels(
    path: Path, groups: Sequence[NDArray[np.int32]], alphabet: Alphabet, is_bytes: bool
) -> None:
    if is_bytes and not alphabet.is_bytes:
        raise ScorerError(
            f"{path}: expected a scorer of words, as the model writes {alphabet.size} characters;"
            " found one for bytes output mode"
        )
    space = None if is_bytes else _space(path, alphabet)
    for group in groups:
        highest = int(group.max(initial=0))
        if highest >= alphabet.size:
            problem = f"label {highest}, and the model has {alphabet.size} labels"
        elif space is not None and (group[:, -1] != space).any():
            problem = "words that do not end in the model's label for the space"
        else:
            continue
        raise ScorerError(f"{path}: made for another alphabet than the model's: it has {problem}")


def _from_words(
    path: Path, words: Iterable[str], alphabet: Alphabet, is_bytes: bool | None = None
) -> Scorer:
    words = [word for word in dict.fromkeys(words) if word not in SENTENCE_MARKS]
    if is_bytes is None:
        is_bytes = alphabet.is_bytes and all(len(word) == 1 for word in words)
    missing = [alphabet.missing(word) for word in words]
    units = [word for word, lacking in zip(words, missing, strict=True) if not lacking]
    left_out = len(words) - len(units)
    if left_out >= len(units):
        strange = sorted(set().union(*missing))
        found = f"{left_out} of {len(words)} with {describe_characters(strange)}"
        raise ScorerError(
            f"{path}: expected words that the model can write, found"
            f" {found if strange else 'no words'}"
        )
    if left_out:
        log.info("%s: left out %d words that the model cannot write", path, left_out)
    after = [] if is_bytes else [_space(path, alphabet)]
    return Scorer(path, is_bytes, units, [alphabet.encode(unit) + after for unit in units])


def _space(path: Path, alphabet: Alphabet) -> int:
    if alphabet.missing(" "):
        raise ScorerError(f"{path}: a scorer of words does not work with a model without a space")
    return alphabet.encode(" ")[0]


def _arpa_words(path: Path) -> list[str]:
    with open_regular(path) as file:
        unigrams = itertools.dropwhile(lambda line: line.strip() != _ARPA_UNIGRAMS, file)
        next(unigrams, None)
        lines = itertools.takewhile(lambda line: line.strip(), unigrams)
        try:
            return [line.split()[1].decode() for line in lines]
        except (IndexError, UnicodeDecodeError) as error:
            raise ScorerError(f"{path}: expected ARPA text in UTF-8, found other lines") from error
