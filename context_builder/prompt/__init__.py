"""Turns facts into a prompt within the token budget. Pure, except for calibration."""
