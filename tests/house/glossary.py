"""Reads docs/glossary.md, and finds the names that the code gives to things."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast

from django.apps.registry import Apps
from django.db import models

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "glossary.md"

type Where = Literal["everywhere", "names", "modules", "by reading"]


@dataclass(frozen=True)
class Avoided:
    """A word that the glossary forbids, and where."""

    word: str
    where: Where

    def in_text(self) -> re.Pattern[str]:
        """Find the word in running text, in any case and inflection: ``promised``, ``logged in``."""
        return _pattern(self.word)

    def in_name(self, name: str) -> bool:
        """Say whether one of the words that the name is made of is this one."""
        return bool(self.in_text().search(" ".join(words_of(name))))


@cache
def _pattern(word: str) -> re.Pattern[str]:
    first, *rest = word.split()
    stem = first.removesuffix("e")
    ending = r"(?:e|es|ed|ing|able)?" if stem != first else rf"(?:s|ed|{first[-1]}ed|ing|{first[-1]}ing)?"
    tail = "".join(rf"[ -]{re.escape(one)}" for one in rest)
    return re.compile(rf"(?<![a-z]){re.escape(stem)}{ending}{tail}(?![a-z])", re.IGNORECASE)


def avoided_in(names: Iterable[str], forbidden: Sequence[Avoided]) -> list[str]:
    """Return the names that have a forbidden word in them."""
    # Splitting names into words takes long, and nearly none has even the letters.
    letters = re.compile("|".join(one.word.split()[0].removesuffix("e") for one in forbidden), re.IGNORECASE)
    return sorted(
        name for name in names if letters.search(name) and any(one.in_name(name) for one in forbidden)
    )


def words_of(name: str) -> list[str]:
    """Split a name into lower-case words: ``SliHour`` and ``sli_hour`` are both ``["sli", "hour"]``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return [word.lower() for word in re.split(r"[\W_]+", spaced) if word]


def _rows(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each row of the tables with the title of its chapter."""
    chapter = ""
    for line in page.splitlines():
        if line.startswith("## "):
            chapter = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("|---"):
            yield chapter, [cell.strip() for cell in line.strip("|").split("|")]


def terms(page: str) -> set[str]:
    """Return the terms in lower case, without hyphens: ``sli hour``, ``sign in``."""
    cells = [row[0] for chapter, row in _rows(page) if chapter not in {"Verbs", "Not used"}]
    return {" ".join(words_of(term)) for cell in cells for term in re.findall(r"\*\*(.+?)\*\*", cell)}


def verbs(page: str) -> set[str]:
    """Return the verbs that the names of actions may have."""
    cells = [row[0] for chapter, row in _rows(page) if chapter == "Verbs"]
    return {verb for cell in cells for verb in re.findall(r"\*\*(.+?)\*\*", cell)}


def avoided(page: str) -> list[Avoided]:
    """Return the words of the table *Not used*."""
    found = []
    for chapter, row in _rows(page):
        if chapter != "Not used" or row[0] == "not":
            continue
        names = re.sub(r"\(.*?\)", "", row[0])
        found += [Avoided(word.strip(), cast(Where, row[2])) for word in re.split("[,;]", names)]
    return found


def concrete_models(registry: Apps) -> list[type[models.Model]]:
    """Return the models of Ballast's own rooms that have a table."""
    own = {config.label for config in registry.get_app_configs() if config.name.startswith("apps.")}
    return [model for model in registry.get_models() if model._meta.app_label in own]


def without_term(found: Iterable[type[models.Model]], known: set[str]) -> list[str]:
    """Return the names of models that are no term."""
    return sorted(model.__name__ for model in found if " ".join(words_of(model.__name__)) not in known)


def unknown_words(action: str, known: set[str], verbs: set[str]) -> list[str]:
    """Return the words of an action's name, after its room, that are neither verb nor part of a term."""
    allowed = verbs | {word for term in known for word in term.split()}
    return [word for word in words_of(action.partition(".")[2]) if not allowed & set(_bases(word))]


def _bases(word: str) -> list[str]:
    """The word, and what it may be a plural or a past tense of."""
    found = [word]
    if word.endswith("ies"):
        found.append(word.removesuffix("ies") + "y")
    found += [word.removesuffix(ending) for ending in ("s", "ed", "d") if word.endswith(ending)]
    return found


def sources() -> list[Path]:
    """Return the Python files of the product, without migrations, which are never rewritten."""
    files = [path for folder in ("apps", "console") for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in files if "migrations" not in path.parts)


def texts() -> list[Path]:
    """Return every file that *everywhere* covers."""
    found = [*sources(), ROOT / "README.md"]
    for folder, ending in (("templates", "html"), ("static", "js"), ("static", "css"), ("docs", "md")):
        found += sorted(path for path in (ROOT / folder).rglob(f"*.{ending}") if "vendor" not in path.parts)
    return [path for path in found if path != PAGE]


def modules() -> list[str]:
    """Return the paths of the product's modules, without their ending: ``apps/slos/formatting``."""
    return [str(path.relative_to(ROOT).with_suffix("")) for path in sources()]


def names_in(code: str) -> set[str]:
    """Return every name that a Python file defines or uses."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        for attribute in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, attribute, None)
            if isinstance(name, str):
                found.add(name)
    return found
