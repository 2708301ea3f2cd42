"""The clients, limits, breaker and gateway against a scripted server and the sandbox."""
