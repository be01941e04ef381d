"""Finds the files of the format in a folder, whatever the case of their names, and notes all other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

FILES = ("services.csv", "dependencies.csv", "sli.csv", "edge_sli.csv", "latency_buckets.csv")
_IGNORED_SHOWN = 20


class NothingToRead(Exception):
    """The folder cannot be imported; the message says why."""


@dataclass(slots=True)
class Folder:
    """The contents of a folder: ``files`` by their names in the format, and the names of ``ignored`` files."""

    files: dict[str, Path] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """Return one sentence about the files that were not read, or nothing where all were."""
        if not self.ignored:
            return []
        more = len(self.ignored) - _IGNORED_SHOWN
        names = ", ".join(self.ignored[:_IGNORED_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        return [f"Not read: {names}. An import reads {listed(FILES)}.{self._meant()}"]

    def _meant(self) -> str:
        meant = ((name, meant_by(name, FILES)) for name in self.ignored[:_IGNORED_SHOWN])
        return "".join(
            f" Is {name} meant to be {close}?" for name, close in meant if close and close not in self.files
        )


def listed(names: Sequence[str]) -> str:
    """Return the names as a sentence lists them."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def meant_by(name: str, choices: Sequence[str]) -> str:
    """Return the choice that a misspelt file name is nearest to, or an empty string."""
    return next(iter(get_close_matches(name.lower(), choices, n=1, cutoff=0.7)), "")


def look_into(path: Path) -> Folder:
    """Find the files of a folder.

    Raises:
        NothingToRead: it is not a folder, cannot be read, has none of the files, or has one of them twice.
    """
    try:
        if path.is_file():
            raise NothingToRead(f"{path} is a file; name the folder that it is in.")
        if not path.is_dir():
            raise NothingToRead(f"There is no folder {path}.")
        entries = sorted(path.iterdir())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name contains a NUL character"
        raise NothingToRead(f"{path} cannot be read: {reason}.") from error
    found = Folder()
    for entry in entries:
        name = entry.name.lower()
        if name not in FILES or not entry.is_file():
            if not name.startswith("."):
                found.ignored.append(entry.name)
        elif name in found.files:
            raise NothingToRead(
                f"{path} has both {found.files[name].name} and {entry.name}: remove one of them."
            )
        else:
            found.files[name] = entry
    found.files = {name: found.files[name] for name in FILES if name in found.files}
    if not found.files:
        there = f" It has {', '.join(found.ignored[:_IGNORED_SHOWN])}." if found.ignored else " It is empty."
        raise NothingToRead(f"{path} has none of the files {listed(FILES)}.{there}{found._meant()}")
    return found
