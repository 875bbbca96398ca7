"""Text on a terminal: streams, tables, Markdown, progress."""
