"""All pages, by noun. Each app names its own routes."""

from importlib import util

from django.urls import include, path

from console.api import api

urlpatterns = [
    *(
        path("", include(f"apps.{app}.urls"))
        for app in ("slos", "catalog", "telemetry", "audit", "accounts", "core")
        if util.find_spec(f"apps.{app}.urls")
    ),
    path("api/v1/", api.urls),
]

handler404 = "apps.core.views.not_found"
