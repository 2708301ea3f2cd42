"""The tests mirror the tree; what is about the whole stands here: recordings, disorder, invariants, histories, the house itself."""
