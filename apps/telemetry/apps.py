from apps.core.rooms import ADMIN, EVERYBODY, Room
from apps.ui.navigation import Entry


class TelemetryRoom(Room):
    name = "apps.telemetry"
    place = 40
    navigation = (
        Entry("See", "Telemetry", "telemetry", "telemetry.view", place=40),
        Entry("See", "Imports", "ingestions", "catalog.view", place=50),
    )
    permissions = {
        "telemetry.view": EVERYBODY,
        "telemetry.collect": ADMIN,
        "telemetry.configure": ADMIN,
    }
    audit_areas = {"telemetry": "telemetry and imports"}
