"""What live receivers share: bodies, limits, rejects and the joint transactions in which posts are stored."""
