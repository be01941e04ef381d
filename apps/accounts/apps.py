from apps.core.rooms import ADMIN, EVERYBODY, NOBODY, Room, Scope
from apps.ui.navigation import Entry


class AccountsRoom(Room):
    name = "apps.accounts"
    place = 50
    navigation = (
        Entry("Prove", "People", "people", "accounts.view_people", place=70),
        Entry("Prove", "Teams", "teams", "accounts.view_teams", place=80),
        Entry("Prove", "API keys", "api-keys", "accounts.manage_own_keys", place=90),
    )
    permissions = {
        "accounts.manage_own_account": EVERYBODY,
        "accounts.manage_own_keys": EVERYBODY,
        "accounts.manage_users": ADMIN,
        "accounts.record_sign_ins": NOBODY,
        "accounts.view_people": {"sre_admin": Scope.ALL, "auditor": Scope.ALL},
        "accounts.view_teams": EVERYBODY,
    }
    audit_areas = {"accounts": "people, sign-ins and keys"}
