"""How long a test waits for what must happen: no test is about it, so that slow machines pass too."""

PATIENCE_S = 300.0
