"""Where to inject context into a conversation, and how to trim it."""
