"""The Anthropic-compatible `/v1/messages` proxy."""
