"""Pages of journeys and what-ifs."""

from django.urls import path

from apps.journeys import views

urlpatterns = [
    path("journeys/", views.journeys, name="journeys"),
    path("journeys/new/", views.create_journey, name="create-journey"),
    path("journeys/new/check/", views.check_journey, name="check-new-journey"),
    path("journeys/<slug:slug>/", views.journey, name="journey"),
    path("journeys/<slug:slug>/edit/", views.edit_journey, name="edit-journey"),
    path("journeys/<slug:slug>/edit/check/", views.check_journey, name="check-journey"),
    path("what-if/", views.what_ifs, name="what-ifs"),
    path("what-if/<service_id:service_id>/", views.what_if, name="what-if"),
]
