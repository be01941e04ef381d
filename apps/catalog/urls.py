"""The catalog's pages. The converter ``service_id`` is registered by the app itself, for every app's routes."""

from __future__ import annotations

from django.urls import path

from apps.catalog import views

urlpatterns = [
    path("map/", views.dependency_map, name="dependency-map"),
    path("map/<service_id:service_id>/", views.dependency_map, name="dependency-map-of"),
    path("imports/graph/<uuid:ingestion_id>/", views.ingestion, name="ingestion"),
]
