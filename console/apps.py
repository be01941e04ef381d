from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """The house itself. First in INSTALLED_APPS: the broker is there before the apps' actors."""

    name = "console"
    label = "console"

    def ready(self) -> None:
        from console.broker import install

        install()
