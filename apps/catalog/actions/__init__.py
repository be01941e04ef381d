"""What people and programs may change in the catalog."""

from apps.catalog.actions import cycles, dependencies, ingestions, services

__all__ = ["cycles", "dependencies", "ingestions", "services"]
