from apps.core.rooms import Room, Scope
from apps.ui.navigation import Entry


class AuditRoom(Room):
    name = "apps.audit"
    place = 60
    navigation = (Entry("Prove", "Audit", "audit", "audit.view", place=10),)
    permissions = {
        "audit.view": {"sre_admin": Scope.ALL, "auditor": Scope.ALL, "service_owner": Scope.OWN_TEAMS},
    }
