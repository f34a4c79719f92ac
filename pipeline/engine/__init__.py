"""The engine: plan, schedule, executors, journal and commit."""
