"""From a resolved incident to its postmortem: claimed, built, called, written, kept, reviewed."""
