"""Recognises label values that look like personal data, so that they are dropped before they are kept anywhere.

Only the shape of a value can be checked, so in doubt it is dropped: a label that no SLI needs is no loss. Labels that
name the service are exempt, because a service may be called ``169.254.170.2_remote``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping

_EMAIL = re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_IPV4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
_IPV6 = re.compile(
    r"(?<![\w:])(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
    r"|(?=[0-9a-f:]*::)(?=[0-9a-f:]*[0-9a-f])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4})(?![\w:])",
    re.IGNORECASE,
)
_UUID = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?![0-9a-f])",
    re.IGNORECASE,
)
_USER_ID = re.compile(
    r"(?<![a-z])(?:user|usr|uid|customer|cust|account|acct|member|patient|client|session|sess)s?"
    r"[-_:/=.]?(?:id)?[-_:/=.]?(?=[a-z]*\d)[0-9a-z]{3,}(?![a-z])",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?<!\w)\+\d[\d ().-]{7,}\d(?!\w)")
_LONG_NUMBER = re.compile(r"(?<![\d.a-z])\d{6,}(?![\d.a-z])", re.IGNORECASE)

#: Each kind with its shape, the likeliest first.
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("e-mail", _EMAIL),
    ("IP address", _IPV4),
    ("UUID", _UUID),
    ("IP address", _IPV6),
    ("user id", _USER_ID),
    ("phone number", _PHONE),
    ("user id", _LONG_NUMBER),
)


def personal_data_kind(value: str) -> str | None:
    """Return the kind of personal data that a label value looks like, or ``None``."""
    return next((kind for kind, shape in _SHAPES if shape.search(value)), None)


def without_personal_data(
    labels: Mapping[str, str], *, keep: Collection[str], dropped: Counter[str]
) -> dict[str, str]:
    """Copy labels without the values that look like personal data.

    Parameters:
        keep: labels that stay as they are: those that name services, and the bounds of buckets.
        dropped: counts the dropped values per label name; the values themselves are kept nowhere.
    """
    clean: dict[str, str] = {}
    for name, value in labels.items():
        if name not in keep and personal_data_kind(value):
            dropped[name] += 1
        else:
            clean[name] = value
    return clean


def scrubbed(text: str) -> str:
    """Replace whatever looks like personal data in a message from outside with its kind."""
    for kind, shape in _SHAPES:
        if kind != "user id":  # a long number in a sentence is usually a limit or a count
            text = shape.sub(f"[{kind}]", text)
    return text
