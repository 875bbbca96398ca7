"""Similar past incidents: candidates, ranking, abstention."""
