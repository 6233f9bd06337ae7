"""A local Slack workspace: the tests' Slack, and later a page for people."""

from bot.playground.model import (
    ApiCall,
    Channel,
    Delivery,
    File,
    Message,
    PlaygroundError,
    User,
    View,
)
from bot.playground.workspace import Workspace

__all__ = [
    "ApiCall",
    "Channel",
    "Delivery",
    "File",
    "Message",
    "PlaygroundError",
    "User",
    "View",
    "Workspace",
]
