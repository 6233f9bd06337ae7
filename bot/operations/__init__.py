"""What a person can ask for; the only callers of store, registry and gc together."""
