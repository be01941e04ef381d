"""Django's PostgreSQL backend with a client-side deadline on every wait.

``base`` is the engine that ``DATABASES`` names. ``waiting`` holds the connection that does not wait for ever, ``watch``
knows whether the server answers, and ``apart`` opens connections beside the pool.
"""
