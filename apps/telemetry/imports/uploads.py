"""Keeps files from the browser in a folder of their own until a worker has imported them."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from apps.core.errors import FieldProblem, InvalidInput
from apps.telemetry.clients.files.folder import FILES, listed, meant_by
from apps.telemetry.imports.roots import import_root

ACCEPTED = FILES


def keep(files: Iterable[UploadedFile[Any]]) -> Path:
    """Store uploaded files under the names of the format, in lower case, and return their folder.

    Raises :class:`InvalidInput` that names every file that is not of the format; then nothing is kept.
    """
    given = list(files)
    problems = [
        FieldProblem("files", f"{one.name} is none of {listed(ACCEPTED)}.{_hint(_name(one))}")
        for one in given
        if _name(one) not in ACCEPTED
    ]
    names = [_name(one) for one in given]
    problems += [
        FieldProblem("files", f"{name} was chosen twice.")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if not given:
        problems.append(FieldProblem("files", "Choose at least one file."))
    if problems:
        raise InvalidInput("These files cannot be imported.", fields=problems)
    folder = import_root() / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        for one in given:
            with (folder / _name(one)).open("wb") as target:
                for chunk in one.chunks():
                    target.write(chunk)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # half a file on a full disk only takes more of it
        if error.filename is None:
            error.filename = str(folder)
        raise
    return folder


def _name(file: UploadedFile[Any]) -> str:
    return str(file.name).lower()


def _hint(name: str) -> str:
    """Return advice on a name that is nearly right, such as a browser's ``sli (1).csv``."""
    meant = meant_by(name, ACCEPTED)
    return f" Rename it to {meant} if that is what it is." if meant else ""


def drop(path: str) -> None:
    """Remove a folder that :func:`keep` made; leave any other path alone."""
    folder = Path(path).resolve()
    if folder.parent == import_root().resolve():
        shutil.rmtree(folder, ignore_errors=True)
