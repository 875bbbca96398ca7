"""Pure text: what is embedded, which words identify an incident."""
