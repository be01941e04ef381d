from django.apps import AppConfig


class UiConfig(AppConfig):
    """The look of the console. Not a room: nobody enters it."""

    name = "apps.ui"
    label = "ui"
    verbose_name = "Look and components"
