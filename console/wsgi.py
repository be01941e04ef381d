"""The application for a WSGI server. `console.edge` serves it behind its deadlines and limits."""

import os
import sys

from django.core.wsgi import get_wsgi_application

from console.embedded import EmbeddedError
from console.environment import ConfigurationError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
# A page that the database cannot answer in this time is given up; workers take the time they need.
os.environ.setdefault("DATABASE_STATEMENT_TIMEOUT_MS", "15000")
# And one that gives no sign of life is given up sooner: a person waits.
os.environ.setdefault("DATABASE_PATIENCE_MS", "1500")
os.environ.setdefault("REDIS_TIMEOUT_MS", "500")

try:
    application = get_wsgi_application()
except (ConfigurationError, EmbeddedError) as error:
    sys.exit(f"ballast: {error}")
