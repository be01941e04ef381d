from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    label = "catalog"

    def ready(self) -> None:
        from django.urls import register_converter

        from apps.catalog.converters import ServiceIdConverter, ServicePathConverter

        # Here, so that it is known before any app's urls.py is read, in whatever order.
        register_converter(ServiceIdConverter, "service_id")
        register_converter(ServicePathConverter, "service_path")
