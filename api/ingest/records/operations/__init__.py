"""Records of the operational history, one model per kind."""
