"""The worker process: its broker, what runs around every message, and how messages are signed."""
