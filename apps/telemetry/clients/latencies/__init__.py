"""Latency histograms, classic and native, and percentile gauges."""
