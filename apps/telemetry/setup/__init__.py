"""What people say of how telemetry is read: where from, by which metric families."""
