"""Who may call which route, and whose data a caller bound to one user is shown."""
