"""Tell texts that were written in one encoding and read in another."""

from __future__ import annotations

_WESTERN = ("cp1252", "latin-1")
_OTHERS = ("cp1250", "cp1251", "koi8-r", "cp1253", "cp1254", "mac-roman", "cp850", "cp437")
_FEWEST = 3
"""Letters that must come out right of the other encodings: one or two can be chance."""


def encoding_problem(text: str) -> str:
    """Return how a text was spoilt by a wrong encoding, and what to do; "" if it was not."""
    if "\ufffd" in text:
        return "it holds U+FFFD, so some letters were lost; export it again"
    if text.count("?") > 1 and not any(map(str.isalpha, text)):
        return "it holds question marks in place of letters; export it again as UTF-8"
    if repaired := _twice_encoded(text):
        return (
            f"it was saved in the wrong encoding, perhaps of {repaired[:60]!r}; export it as UTF-8"
        )
    if _is_of_another_script(text):
        return (
            f"nearly all its letters are accented ones ({text[:60]!r}), as if another script"
            " was read as Latin-1; export it as UTF-8"
        )
    return ""


def _twice_encoded(text: str) -> str:
    """Undo UTF-8 that was read in a one-byte encoding and saved again; "" if that is not so."""
    if text.isascii():
        return ""
    for encoding in (*_WESTERN, *_OTHERS):
        try:
            repaired = text.encode(encoding).decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            continue
        letters = sum(ord(each) > 0x7F and each.isalpha() for each in repaired)
        if repaired != text and (encoding in _WESTERN or letters >= _FEWEST):
            return repaired
    return ""


def _is_of_another_script(text: str) -> bool:
    """Tell whether hardly a letter is plain Latin, and nearly all are accented ones of Latin-1.

    No language writes so; Cyrillic or Greek of a one-byte encoding looks so when read as Latin-1.
    """
    if text.isascii():
        return False
    letters = [each for each in text if each.isalpha()]
    accented = ["\xc0" <= each <= "\xff" for each in letters]
    kinds = {each for each in letters if not each.isascii()}
    return len(kinds) > _FEWEST and sum(accented) * 10 >= len(letters) * 8
