"""The look of the console: formats, forms, navigation, charts and template tags. No tables of its own."""
