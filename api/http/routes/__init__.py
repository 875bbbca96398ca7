"""The HTTP interface, one resource per file."""
