"""How a job executes: its parameters, threads, progress, log and costs."""
