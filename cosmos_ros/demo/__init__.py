"""The demo: a simulated arm driven by predictions through real topics, every trajectory guarded, all of it recorded."""
