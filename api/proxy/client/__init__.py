"""The client's side of a proxied request: its connection, its body, who sent it."""
