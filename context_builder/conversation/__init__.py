"""Where text may go into a client's conversation, what it says, and what is left out of a long one. Pure."""
