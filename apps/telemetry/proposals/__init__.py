"""Recognises what a server's metrics count, compares them, and proposes families that would read them."""
