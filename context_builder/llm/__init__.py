"""The model: its port, the Claude adapter, prices. The only folder that knows the SDK."""
