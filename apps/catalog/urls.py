"""The catalog's pages. The converter ``service_id`` is registered by the app itself, for every app's routes."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
