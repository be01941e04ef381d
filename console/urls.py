"""All pages, by noun. Each app names its own routes."""

from django.urls import include, path

from console.api import api

urlpatterns = [
    path("", include("apps.slos.urls")),
    path("", include("apps.journeys.urls")),
    path("", include("apps.catalog.urls")),
    path("", include("apps.telemetry.urls")),
    path("", include("apps.audit.urls")),
    path("", include("apps.accounts.urls")),
    path("", include("apps.core.urls")),
    path("api/v1/", api.urls),
]

handler400 = "apps.core.views.bad_request"
handler404 = "apps.core.views.not_found"
handler500 = "apps.core.views.server_error"
