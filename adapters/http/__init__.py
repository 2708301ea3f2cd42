"""The HTTP edge: routes, who may call them, and how an error is told."""
