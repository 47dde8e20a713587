"""Load whose every byte is checked, on a Weir around which everything goes wrong (docs/soak.md)."""
