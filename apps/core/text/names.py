"""Characters that a name may not hold: invisible ones, ones that reverse the text, and letters that pass for others.

The rule is one regular expression, valid in ECMAScript and in Python, so that the API's description states exactly what
is enforced. It holds for new names; :func:`visible` shows such characters in older ones.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Controls, format characters (bidirectional ones among them), other characters that are drawn as nothing, private use
# and code points that will never be characters. Python also refuses halves of pairs, which text of the API never holds.
UNDRAWN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    r"\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
# White space other than the plain blank. Pages show it as its code point.
_BLANKS = r"\t\n\r\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
HIDDEN = UNDRAWN + _BLANKS
# Alphabets whose letters look alike.
ALPHABETS = {
    "Latin": r"A-Za-z\xaa\xba\xc0-\xd6\xd8-\xf6\xf8-\u02b8\u1d00-\u1d25\u1d2c-\u1d5c\u1e00-\u1eff"
    r"\uff21-\uff3a\uff41-\uff5a",
    "Greek": r"\u0370-\u0373\u0376-\u037d\u037f\u0386\u0388-\u03e1\u03f0-\u03ff\u1f00-\u1fff",
    "Cyrillic": r"\u0400-\u0482\u048a-\u052f\u1c80-\u1c8a\u1d2b\ua640-\ua66e\ua680-\ua69d",
    "Armenian": r"\u0531-\u0556\u0560-\u0588",
    "Coptic": r"\u03e2-\u03ef\u2c80-\u2cee",
    "Cherokee": r"\u13a0-\u13fd\uab70-\uabbf",
}
_MARKS = r"\u0300-\u036f\u0483-\u0489"


def _others(alphabet: str) -> str:
    return "".join(letters for name, letters in ALPHABETS.items() if name != alphabet)


_MIXED = "|".join(f"[{letters}][{_MARKS}]*[{_others(name)}]" for name, letters in ALPHABETS.items())
NAME_PATTERN = rf"^(?!.*(?:{_MIXED}))[^{HIDDEN}]*$"
"""Any text without hidden characters and without adjacent letters of different alphabets."""

FILLED_NAME_PATTERN = NAME_PATTERN.replace("^", r"^(?! *$)", 1)
"""The same for a name that may not be blank."""
SIGN_IN_PATTERN = (
    rf"^(?!.*(?:{_MIXED}))"
    rf"[^{HIDDEN}\s!-*,/:-?\[-^`{{-~\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u2010-\u2bff\u3001-\u303f\ufe10-\ufe6f"
    "\U0001f000-\U0001faff]+$"
)
"""A name that people sign in with: letters, digits, full stops and ``@ + - _``, with one alphabet in each word."""

_hidden = re.compile(rf"[{HIDDEN}\ud800-\udfff]")
_undrawn = re.compile(f"[{UNDRAWN}]")
_mixed = re.compile(_MIXED)


def called(character: str) -> str:
    """Return a character's code point and name: ``U+202E RIGHT-TO-LEFT OVERRIDE``."""
    name = unicodedata.name(character, "") or {"Cc": "CONTROL CHARACTER", "Co": "PRIVATE USE"}.get(
        unicodedata.category(character), "NO CHARACTER"
    )
    return f"U+{ord(character):04X} {name}"


def name_problem(name: str) -> str:
    """Return which character a name may not hold and what to do, or an empty string."""
    if name.isascii() and name.isprintable():
        return ""
    found = _hidden.search(name)
    if found:
        return f"holds {called(found[0])}, which cannot be seen as what it is; leave it out"
    pair = _mixed.search(name)
    if pair:
        first, second = pair[0][0], pair[0][-1]
        return (
            f"holds {called(second)} beside {called(first)}: letters of two alphabets that look alike; "
            "write the word in one"
        )
    return ""


_sign_in = re.compile(SIGN_IN_PATTERN)


def usable_sign_in(name: str) -> str:
    """Return the name of a sign-in. Raises ``ValueError`` that names the first forbidden character."""
    usable_name(name)
    if name and not _sign_in.fullmatch(name):
        wrong = next(one for one in name if not _sign_in.fullmatch(one))
        raise ValueError(f"the name holds {called(wrong)}; take letters, digits, full stops and @ + - _ only")
    return name


def usable_name(name: str) -> str:
    """Return the name. Raises ``ValueError`` that names the first forbidden character."""
    problem = name_problem(name)
    if problem:
        raise ValueError(f"the name {problem}")
    return name


@lru_cache(maxsize=1024)
def _code_point(character: str) -> str:
    return f"\u27e8U+{ord(character):04X}\u27e9"


def has_undrawn(text: str) -> bool:
    """Return whether a text holds a character that :func:`visible` would replace."""
    return _undrawn.search(text) is not None


def visible(text: str) -> str:
    """Return a text with each invisible character replaced by its code point: ``⟨U+202E⟩``."""
    return _undrawn.sub(lambda found: _code_point(found[0]), text)
