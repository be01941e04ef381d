"""A service and what it depends on directly: how often it calls, how hard a failure hits, what that allows."""
