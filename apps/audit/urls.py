from django.urls import path

from apps.audit import views

urlpatterns = [
    path("audit/", views.audit, name="audit"),
    path("audit/export.csv", views.audit_csv, name="audit-csv"),
    path("audit/<uuid:entry_id>/", views.audit_entry, name="audit-entry"),
]
