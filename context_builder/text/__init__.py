"""Pure text functions (sanitizing, formatting, fact keys) and the clock."""
