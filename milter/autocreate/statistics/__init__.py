"""What was decided, counted: small whatever happens, and the same for every front end."""
