"""What a worker keeps for a moment: one snapshot, its time, and what questions have read of it."""
