"""The rollups as numpy columns that stay in memory and follow the database."""
