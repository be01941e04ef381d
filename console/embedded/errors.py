"""Errors of the embedded servers, each with one sentence for the operator."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EmbeddedError(Exception):
    """An embedded server cannot run. The message is one line: what happened and what to do."""


def explain_os_error(error: OSError, folder: Path) -> str:
    """Turn an ``OSError`` on ``folder`` into an error with one line that an operator can act on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk that holds {folder} is full. Free some space, or set BALLAST_DATA_DIR to another disk."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"The data folder {folder} cannot be written. Set BALLAST_DATA_DIR to a folder that can."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"The data folder {folder} is not a folder. Set BALLAST_DATA_DIR to one."
    return (
        f"The data folder {folder} cannot be used: {error.strerror or error}. "
        "Set BALLAST_DATA_DIR to a folder that can be written."
    )


@contextmanager
def os_errors_explained(folder: Path) -> Iterator[None]:
    """Raise `EmbeddedError` in place of an ``OSError`` that concerns ``folder``."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(explain_os_error(error, folder)) from error
