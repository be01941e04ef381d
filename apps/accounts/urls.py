from django.urls import path

from apps.accounts.views import account, keys, people, signing_in, teams
from apps.core.web.pages import POST, page

_sign_in = page(public=True, methods=("GET", "HEAD", "POST"))(signing_in.SignInView.as_view())
_sign_out = page(public=True, methods=POST)(signing_in.SignOutView.as_view())

urlpatterns = [
    path("sign-in/", _sign_in, name="login"),
    path("sign-out/", _sign_out, name="logout"),
    path("-/known", keys.known, name="known"),
    path("account/", account.account, name="account"),
    path("account/password/", account.password, name="account-password"),
    path("api-keys/", keys.api_keys, name="api-keys"),
    path("api-keys/make/", keys.make_api_key, name="api-key-make"),
    path("api-keys/<int:key_id>/revoke/", keys.revoke_api_key, name="api-key-revoke"),
    path("people/", people.people, name="people"),
    path("new-person/", people.new_person, name="new-person"),
    path("people/<str:username>/", people.person, name="person"),
    path("people/<str:username>/reset-password/", people.reset_password, name="reset-password"),
    path("teams/", teams.teams, name="teams"),
    path("teams/<int:team_id>/", teams.team, name="team"),
]
