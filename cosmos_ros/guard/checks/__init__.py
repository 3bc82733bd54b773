"""One small class a limit. Each takes a motion and returns the violations of that limit."""
