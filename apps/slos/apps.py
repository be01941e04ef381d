from apps.core.rooms import ADMIN_AND_OWNER, EVERYBODY, NOBODY, Room
from apps.ui.navigation import Entry


class SlosRoom(Room):
    name = "apps.slos"
    place = 20
    navigation = (
        Entry("See", "Overview", "overview", "slos.view", place=10),
        Entry("See", "Services", "services", "catalog.view", place=20),
        Entry(
            "Decide",
            "Recommendations",
            "recommendations",
            "slos.view",
            place=10,
            count="apps.slos.queries.decisions_due_count",
        ),
        Entry("Decide", "Budgets", "slos", "slos.view", place=20),
    )
    permissions = {
        "slos.view": EVERYBODY,
        "slos.decide": ADMIN_AND_OWNER,
        "slos.regenerate": ADMIN_AND_OWNER,
        "slos.store_recommendations": NOBODY,
    }
    audit_areas = {"slos": "recommendations and SLOs"}
    newest_data = "apps.slos.queries.newest_data"
