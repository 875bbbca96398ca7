"""What single requests around an onset say: whether they are others than before, and which are retries."""
