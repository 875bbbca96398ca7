"""Reads the times that a question names: a grammar over typed parts of the text. Pure."""
