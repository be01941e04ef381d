"""Every component and chart with sample data, as static pages that a browser opens from disk."""
