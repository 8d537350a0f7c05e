"""Benchmarks: ratios of contestants that are measured in turn, in one run, on one machine."""
