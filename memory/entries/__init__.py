"""What memory holds of each incident, in SQL."""
