"""The three services and the one process that can hold all of them."""
