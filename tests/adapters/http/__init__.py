"""Routes, guard, pages and their bodies, over the parts exactly as the service puts them together."""
