from importlib import import_module, util

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        from apps.core.grants import grant_application_role

        post_migrate.connect(grant_application_role, dispatch_uid="core.grants")
        import_module("apps.core.runs.levers")
        # Actions, kinds of runs and subscribers register themselves on import; every process has to know all of them,
        # because a published event gets one delivery row for each subscriber.
        for config in apps.get_app_configs():
            if not config.name.startswith("apps."):
                continue
            for door in ("actions", "runs", "subscribers"):
                if util.find_spec(f"{config.name}.{door}"):
                    import_module(f"{config.name}.{door}")
