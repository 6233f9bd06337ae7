"""How each kind of letter is delivered, and what is done where Slack does not take it."""
