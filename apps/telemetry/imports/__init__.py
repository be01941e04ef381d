"""Folders of files: checked whole, then stored whole."""
