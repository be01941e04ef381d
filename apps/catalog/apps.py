from apps.core.rooms import ADMIN_AND_ANY_OWNER, ADMIN_AND_OWNER, EVERYBODY, Room
from apps.ui.navigation import Entry


class CatalogRoom(Room):
    name = "apps.catalog"
    place = 10
    navigation = (Entry("See", "Dependency map", "dependency-map", "catalog.view", place=30),)
    permissions = {
        "catalog.view": EVERYBODY,
        "catalog.ingest": ADMIN_AND_ANY_OWNER,
        "catalog.edit_service": ADMIN_AND_OWNER,
        "catalog.acknowledge_cycle": ADMIN_AND_ANY_OWNER,
    }
    audit_areas = {"catalog": "services and dependencies"}

    def ready(self) -> None:
        from django.urls import register_converter

        from apps.catalog.converters import ServiceIdConverter, ServicePathConverter

        # Registered here, so that it is known before any app's urls.py is imported.
        register_converter(ServiceIdConverter, "service_id")
        register_converter(ServicePathConverter, "service_path")
