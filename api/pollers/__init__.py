"""Asks what does not report by itself: status pages of providers, model servers, LiteLLM."""
