"""The only room that speaks to Slack."""
