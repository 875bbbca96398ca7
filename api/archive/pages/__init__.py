"""What the pages of an archive state: entries of any shape, fields, and times as people write them."""
