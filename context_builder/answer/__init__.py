"""The answer: the model's text checked against the facts of its prompt."""
