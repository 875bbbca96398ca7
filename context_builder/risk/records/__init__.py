"""What the policy reads from the database, and the transitions that it stores there."""
