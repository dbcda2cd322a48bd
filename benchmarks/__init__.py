"""Fenchel measured side by side with its peers: `python -m benchmarks` (or `make bench`).

One file per question; the estimate stands above it. Every peer gets the same requests from
the same load generator in the same run, so ratios hold where absolute figures
depend on the machine.
"""
