"""What the model wrote, checked against the facts of its prompt."""
