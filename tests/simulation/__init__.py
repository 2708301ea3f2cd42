"""The service as a whole in virtual time, from one seed: whatever breaks, what must hold is checked (docs/simulation.md)."""
