"""`arcpoint postmortem`."""
