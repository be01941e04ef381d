"""PostgreSQL as this project talks to it: Django's backend, with a client's deadline on every wait.

``base`` is what ``DATABASES`` names as its engine. ``waiting`` holds the connection that does not wait for ever,
``watch`` what this process knows of whether the server lives, ``apart`` connections beside the pool.
"""
