"""What names may look like, and what is said about a value that is wrong."""
