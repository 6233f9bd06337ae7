"""Runs `registry garbage-collect` somewhere and reads what it says."""
