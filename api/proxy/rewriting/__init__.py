"""What the proxy changes of a conversation: its decisions, the state of the gateway, recovery, learning."""
