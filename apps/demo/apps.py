from apps.core.rooms import ADMIN, Room


class DemoRoom(Room):
    name = "apps.demo"
    place = 70
    permissions = {"demo.load": ADMIN, "demo.remove": ADMIN}
    audit_areas = {"demo": "the demo"}
