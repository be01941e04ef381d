"""Read environment variables: each value with its type, or one line that says what to set instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


class ConfigurationError(Exception):
    """A variable, or the file that one names, cannot be used. The message is one line: which, why, what to set."""


class Environment:
    """Typed reading of environment variables. Empty values count as unset, because compose files pass them on."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables

    def text(self, name: str, default: str = "") -> str:
        """Return the value without blanks around it."""
        return self.variables.get(name, "").strip() or default

    def number(self, name: str, default: int, *, least: int = 0, most: int = 2**31 - 1) -> int:
        """Return a whole number from ``least`` to ``most``."""
        text = self.text(name)
        if not text:
            return default
        # Not str.isdigit(), which is true of "²" as well.
        if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
            bounds = f"from {least} to {most}" if most < 2**31 - 1 else f"of at least {least}"
            raise ConfigurationError(f"{name} is {text!r}. Set it to a whole number {bounds}.")
        return int(text)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return whether the value is ``1``, true, yes or on; ``0``, false, no and off mean false."""
        text = self.text(name)
        if not text:
            return default
        if text.lower() not in TRUE | FALSE:
            raise ConfigurationError(f"{name} is {text!r}. Set it to 1 or 0.")
        return text.lower() in TRUE

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """Return one of ``choices``, spelt as there. The case of the value does not matter."""
        text = self.text(name, default)
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ConfigurationError(f"{name} is {text!r}. Set it to {', '.join(choices[:-1])} or {choices[-1]}.")

    def names(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """Return a comma-separated list, without blanks and empty entries."""
        found = [part.strip() for part in self.text(name).split(",") if part.strip()]
        return found or list(default)

    def folder(self, name: str, default: Path) -> Path:
        """Return an absolute path, which need not exist."""
        text = self.text(name)
        return Path(text).absolute() if text else default

    def address(self, name: str, schemes: tuple[str, ...], example: str) -> str:
        """Return a URL of one of ``schemes`` with a host and, optionally, a numeric port.

        The value may hold a password, so no message repeats it.
        """
        url = self.text(name)
        if not url:
            return ""
        parts = split_address(name, url)
        if parts.scheme.lower() not in schemes:
            is_url = "://" in url and parts.scheme
            what = f"starts with {parts.scheme}://" if is_url else "is not an address"
            raise ConfigurationError(f"{name} {what}. Set it to an address such as {example}.")
        if not (parts.hostname or parts.scheme == "unix" or name.startswith("DATABASE")):
            raise ConfigurationError(f"{name} names no host. Set it to an address such as {example}.")
        return url


def split_address(name: str, url: str) -> SplitResult:
    """Split a URL. Raises `ConfigurationError` where its port is no number, as after a bare ``#`` in a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigurationError(
            f"{name} cannot be taken apart: its port has to be a number from 1 to 65535, and in a password "
            "/ ? # @ : and % are written %2F %3F %23 %40 %3A and %25."
        ) from None
    return parts
