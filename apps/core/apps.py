from django.db.models.signals import post_migrate

from apps.core.rooms import Room, modules


class CoreRoom(Room):
    name = "apps.core"
    place = 0

    def ready(self) -> None:
        from apps.core.grants import grant_application_role

        post_migrate.connect(grant_application_role, dispatch_uid="core.grants")
        # Actions and subscribers register themselves on import; every process has to know all of them, because a
        # published event gets one delivery row for each subscriber.
        for door in ("actions", "subscribers"):
            list(modules(door))
