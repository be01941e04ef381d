"""Pages of what came in, and of where it comes from."""

from django.urls import path

from apps.telemetry import views

urlpatterns = [
    path("telemetry/", views.telemetry, name="telemetry"),
    path("telemetry/check/", views.check, name="telemetry-check"),
    path("telemetry/runs/<uuid:run_id>/", views.run, name="telemetry-run"),
    path("imports/", views.imports, name="ingestions"),
    path("imports/files/", views.import_files, name="import-files"),
    path("imports/files/<uuid:run_id>/", views.run, name="import-run"),
    path("imports/graph/", views.import_graph, name="import-graph"),
]
