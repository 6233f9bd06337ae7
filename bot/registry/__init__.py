"""Speaks the registry's HTTP API. Knows no Slack, no people and no jobs."""
