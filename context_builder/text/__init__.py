"""Pure text: sanitizing, formatting, fact keys; and the clock."""
