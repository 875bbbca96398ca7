"""What surrounds every request, one ASGI middleware per file."""
