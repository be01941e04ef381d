"""The web process: `granian --interface wsgi console.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
# A page that the database cannot answer in this time is given up; workers take the time they need.
os.environ.setdefault("DATABASE_STATEMENT_TIMEOUT_MS", "15000")

application = get_wsgi_application()
