"""Tables of the product itself."""
