from django.urls import path

from apps.core.web import dialogs, run_pages, views

urlpatterns = [
    path("-/healthz", views.healthz, name="healthz"),
    path("actions/<str:name>/", dialogs.action_dialog, name="action"),
    path("actions/<str:name>/preview/", dialogs.action_preview, name="action-preview"),
    path("docs/problems", views.problem_catalogue, name="problems"),
    path("-/frame/", views.frame, name="frame"),
    path("-/ready", views.ready, name="ready"),
    path("runs/", run_pages.runs, name="runs"),
    path("runs/<uuid:run_id>/", run_pages.run, name="run"),
]
