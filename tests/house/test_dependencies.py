"""What an installation has to bring along is what the product imports."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED_ONLY = {"argon2-cffi", "django-structlog", "granian", "whitenoise"}
"""Django loads these by the names that settings give; granian is a command."""


def imported() -> set[str]:
    found: set[str] = set()
    for folder in ("apps", "console", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found.update(each.name.split(".")[0] for each in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found


def test_every_runtime_dependency_is_imported_by_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=]", each)[0].lower() for each in project["dependencies"]}
    modules = imported()
    used = {
        name.lower()
        for module, names in packages_distributions().items()
        for name in names
        if module in modules
    }
    assert wanted - used <= NAMED_ONLY


def test_what_only_tests_need_is_not_locked_for_an_installation() -> None:
    locked = {
        line.split("==")[0]
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith(" ")
    }
    assert {"django", "numpy", "scipy"} <= locked
    assert not locked & {"shap", "pandas", "scikit-learn", "pytest"}
