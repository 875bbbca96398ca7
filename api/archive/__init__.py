"""Archives of incidents and their postmortems: Markdown with front matter, and JSON Lines."""
