"""Collects a registry that runs in a container, through the engine's own API."""
