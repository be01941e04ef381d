"""The actions of the catalog."""

from apps.catalog.actions import cycles, dependencies, ingestions, services

__all__ = ["cycles", "dependencies", "ingestions", "services"]
