"""Pages of SLOs and of those that could be kept: by noun."""

from django.urls import path

from apps.slos import views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("services/", views.services, name="services"),
    path("services.csv", views.services_csv, name="services-csv"),
    path("services/<service_id:service_id>/", views.service, name="service"),
    path("recommendations/", views.recommendations, name="recommendations"),
    path("slos/", views.slos, name="slos"),
]
