"""Observations in CSV files: reading rows, and saying what is wrong with them."""
