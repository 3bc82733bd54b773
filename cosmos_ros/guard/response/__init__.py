"""What is sent in place of a motion that breaks a limit: slower, shorter, or a stop."""
