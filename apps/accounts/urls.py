from django.contrib.auth.views import LogoutView
from django.urls import path

from apps.accounts import views
from apps.core.pages import POST, page

_sign_in = page(public=True, methods=("GET", "HEAD", "POST"))(views.SignInView.as_view())
_sign_out = page(public=True, methods=POST)(LogoutView.as_view())

urlpatterns = [
    path("sign-in/", _sign_in, name="login"),
    path("sign-out/", _sign_out, name="logout"),
    path("-/known", views.known, name="known"),
    path("api-keys/", views.api_keys, name="api-keys"),
    path("api-keys/make/", views.make_api_key, name="api-key-make"),
    path("api-keys/<int:key_id>/revoke/", views.revoke_api_key, name="api-key-revoke"),
]
