"""From section facts to prompt bytes under the token budget. Pure, but for the calibration log."""
