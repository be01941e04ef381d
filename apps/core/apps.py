from django.db.models.signals import post_migrate

from apps.core.rooms import ADMIN, ADMIN_AND_ANY_OWNER, EVERYBODY, NOBODY, Room, modules
from apps.ui.navigation import Entry


class CoreRoom(Room):
    name = "apps.core"
    place = 0
    permissions = {
        "core.view_runs": EVERYBODY,
        "core.control_runs": ADMIN_AND_ANY_OWNER,
        "core.control_system_runs": ADMIN,
        "core.end_run": NOBODY,
    }
    navigation = (Entry("Act", "Runs", "runs", "core.view_runs", place=90),)
    audit_areas = {"core": "long work"}

    def ready(self) -> None:
        from apps.core.database.grants import grant_application_role

        post_migrate.connect(grant_application_role, dispatch_uid="core.grants")
        # Actions, kinds of runs and subscribers register themselves on import. Every process must know all of them,
        # because a published event gets one delivery row for each subscriber.
        for door in ("actions", "runs", "subscribers"):
            list(modules(door))
        from apps.core.runs.scheduled import register_jobs

        register_jobs()
