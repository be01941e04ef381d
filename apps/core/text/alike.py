"""Which names look alike: names are compared without the differences that nobody sees at a glance."""

from __future__ import annotations

import unicodedata

# Letters of other alphabets beside the Latin letter that they are drawn like. Capitals are looked up before they are
# folded: many look Latin whose small letters do not. Capitals: Cyrillic, Greek, Cyrillic, Cherokee.
_CAPITALS = {
    0x0410: "A",
    0x0412: "B",
    0x0415: "E",
    0x0405: "S",
    0x0406: "I",
    0x0408: "J",
    0x041A: "K",
    0x041C: "M",
    0x041D: "H",
    0x041E: "O",
    0x0420: "P",
    0x0421: "C",
    0x0422: "T",
    0x0423: "Y",
    0x0425: "X",
    0x0391: "A",
    0x0392: "B",
    0x0395: "E",
    0x0396: "Z",
    0x0397: "H",
    0x0399: "I",
    0x039A: "K",
    0x039C: "M",
    0x039D: "N",
    0x039F: "O",
    0x03A1: "P",
    0x03A4: "T",
    0x03A5: "Y",
    0x03A7: "X",
    0x050C: "G",
    0x051C: "W",
    0x13AA: "A",
    0x13F4: "B",
    0x13DF: "C",
    0x13AC: "E",
    0x13C0: "G",
    0x13BB: "H",
    0x13AB: "J",
    0x13E6: "K",
    0x13DE: "L",
    0x13B7: "M",
    0x13E2: "P",
    0x13A1: "R",
    0x13DA: "S",
    0x13A2: "T",
    0x13D9: "V",
    0x13D4: "W",
    0x13C3: "Z",
}
# Cyrillic, Greek, Armenian, Coptic.
_SMALL = {
    0x0430: "a",
    0x0441: "c",
    0x0501: "d",
    0x0435: "e",
    0x04BB: "h",
    0x0456: "i",
    0x0458: "j",
    0x04CF: "l",
    0x043E: "o",
    0x0440: "p",
    0x051B: "q",
    0x0455: "s",
    0x0475: "v",
    0x051D: "w",
    0x0445: "x",
    0x0443: "y",
    0x03B1: "a",
    0x03B9: "i",
    0x03BA: "k",
    0x03BD: "v",
    0x03BF: "o",
    0x03C1: "p",
    0x03C5: "u",
    0x03C7: "x",
    0x0578: "n",
    0x057D: "u",
    0x0585: "o",
    0x0570: "h",
    0x2C9F: "o",
    0x2CA3: "p",
    0x2CA5: "c",
}
_LATIN = _CAPITALS | _SMALL


def as_latin(name: str) -> str:
    """Return a name with each letter that looks Latin replaced by that Latin letter."""
    return name.translate(_LATIN)


def look_of(name: str) -> str:
    """Return the same text for all names that look alike.

    It has no capitals, white space, invisible characters, compatibility forms or letters that look Latin.
    """
    if not name.isascii():
        seen = "".join(one for one in name if unicodedata.category(one) != "Cf")
        name = as_latin(unicodedata.normalize("NFKC", seen))
        name = unicodedata.normalize("NFC", as_latin(name.casefold()))
    return "".join(name.lower().split())
