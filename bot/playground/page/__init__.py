"""The workspace as a web page: people look, type and click in a browser."""

from bot.playground.page.server import Page

__all__ = ["Page"]
