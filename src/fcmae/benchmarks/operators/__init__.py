"""The operators by each of their implementations: how fast, and whether they agree."""
