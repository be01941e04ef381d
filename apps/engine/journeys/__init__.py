"""Journeys over several services, and planned changes to a service's dependencies."""
