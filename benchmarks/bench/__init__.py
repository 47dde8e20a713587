"""Weir and its peers on the same work: see docs/measuring.md."""
