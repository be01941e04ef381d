"""Imports folders of files: a whole folder is checked, then the whole folder is stored."""
