"""What is kept of requests that have ended."""
