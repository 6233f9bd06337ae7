"""The playground: a registry, a local Slack, the real bot and a page, started by one command."""
