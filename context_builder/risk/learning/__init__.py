"""Trains the model that forecasts may use, and judges forecasts by what came."""
