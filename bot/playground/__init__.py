"""A local Slack workspace: the tests' Slack, and later a page for people."""
