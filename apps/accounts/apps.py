from apps.core.rooms import ADMIN, EVERYBODY, Room
from apps.ui.navigation import Entry


class AccountsRoom(Room):
    name = "apps.accounts"
    place = 50
    navigation = (Entry("Prove", "API keys", "api-keys", "accounts.manage_own_keys", place=90),)
    permissions = {
        "accounts.manage_own_keys": EVERYBODY,
        "accounts.manage_users": ADMIN,
    }
    audit_areas = {"accounts": "people and keys"}
