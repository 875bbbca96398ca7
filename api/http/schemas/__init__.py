"""The JSON that the service accepts and gives, each with an example."""
