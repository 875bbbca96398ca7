"""Tables of the operational history."""
