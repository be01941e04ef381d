"""Journeys over several services, and changes to a service that somebody thinks about."""
