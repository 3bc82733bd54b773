"""What people look at: contact sheets, plots, markers, RViz and Rerun. Nothing here is read back by a machine."""
