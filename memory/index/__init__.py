"""Where vectors lie: the contract, and Chroma behind it."""
