"""`arcpoint poll`: asks what does not report by itself, and shows what was found."""
