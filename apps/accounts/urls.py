from django.contrib.auth.views import LogoutView
from django.urls import path

from apps.accounts import views

urlpatterns = [
    path("sign-in/", views.SignInView.as_view(), name="login"),
    path("sign-out/", LogoutView.as_view(), name="logout"),
    path("-/known", views.known, name="known"),
    path("api-keys/", views.api_keys, name="api-keys"),
    path("api-keys/make/", views.make_api_key, name="api-key-make"),
    path("api-keys/<int:key_id>/revoke/", views.revoke_api_key, name="api-key-revoke"),
]
