from apps.core.rooms import ADMIN_AND_OWNER, EVERYBODY, Room
from apps.ui.navigation import Entry


class JourneysRoom(Room):
    name = "apps.journeys"
    place = 30
    navigation = (
        Entry("Decide", "Journeys", "journeys", "journeys.view", place=30),
        Entry("Decide", "What if", "what-ifs", "journeys.view", place=40),
    )
    permissions = {"journeys.view": EVERYBODY, "journeys.edit": ADMIN_AND_OWNER}
    audit_areas = {"journeys": "journeys"}
