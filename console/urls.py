"""All routes: those of every room's ``urls.py``, and the API."""

from django.urls import include, path

from apps.core.rooms import modules
from console.api import api

urlpatterns = [
    *(path("", include(room)) for room in modules("urls")),
    path("api/v1/", api.urls),
]

handler400 = "apps.core.web.views.bad_request"
handler404 = "apps.core.web.views.not_found"
handler500 = "apps.core.web.views.server_error"
