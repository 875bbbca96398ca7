"""Keeps what names other users from one who may see one user only, after all else is done."""
