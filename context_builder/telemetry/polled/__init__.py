"""What is known from asking others, and how fresh it is."""
