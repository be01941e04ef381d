"""The application for a WSGI server. `console.edge` serves it behind deadlines and limits."""

import os
import sys

from django.core.wsgi import get_wsgi_application

from console.embedded import EmbeddedError
from console.environment import ConfigurationError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
# The longest time of one statement for a page. Workers take the time they need.
os.environ.setdefault("DATABASE_STATEMENT_TIMEOUT_MS", "15000")
# A silent server is given up sooner, because a person waits.
os.environ.setdefault("DATABASE_PATIENCE_MS", "1500")
os.environ.setdefault("REDIS_TIMEOUT_MS", "500")

try:
    application = get_wsgi_application()
except (ConfigurationError, EmbeddedError) as error:
    sys.exit(f"ballast: {error}")
