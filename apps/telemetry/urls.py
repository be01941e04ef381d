"""Pages of telemetry: its source, what was read, and imports."""

from django.urls import path

from apps.telemetry import views, views_setup

urlpatterns = [
    path("telemetry/", views.telemetry, name="telemetry"),
    path("telemetry/check/", views.check, name="telemetry-check"),
    path("telemetry/runs/<uuid:run_id>/", views.run, name="telemetry-run"),
    path("telemetry/setup/", views_setup.setup, name="telemetry-setup"),
    path("telemetry/setup/connect/", views_setup.connect, name="telemetry-connect"),
    path("telemetry/setup/look/", views_setup.look, name="telemetry-look"),
    path("telemetry/setup/start/", views_setup.start, name="telemetry-start"),
    path("telemetry/setup/families/", views_setup.families, name="telemetry-families"),
    path("telemetry/setup/<str:what>.toml", views_setup.download, name="telemetry-families-file"),
    path("imports/", views.imports, name="ingestions"),
    path("imports/files/", views.import_files, name="import-files"),
    path("imports/files/<uuid:run_id>/", views.run, name="import-run"),
    path("imports/graph/", views.import_graph, name="import-graph"),
]
