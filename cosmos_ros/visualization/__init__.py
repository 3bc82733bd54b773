"""Pictures for people: contact sheets and plots. Nothing here is read back by a machine."""
