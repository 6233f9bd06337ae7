"""Results of operations as Slack messages: pure, inside Slack's limits, always with a text."""
