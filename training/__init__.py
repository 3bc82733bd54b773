"""Makes the small world model that the package ships: data from the simulator, training, export. Not installed."""
