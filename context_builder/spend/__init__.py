"""What paid calls may cost: caps, reservations of the worst case, and what was spent."""
