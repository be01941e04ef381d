from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """The console itself. It is first in INSTALLED_APPS, so that the broker exists before the apps' actors."""

    name = "console"
    label = "console"

    def ready(self) -> None:
        from console.workers.broker import install

        install()
