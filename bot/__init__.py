"""registry-bot: run a private Docker registry from Slack, safely."""

__version__ = "0.1.0"
