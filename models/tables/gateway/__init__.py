"""Tables that the gateway fills with its traffic."""
