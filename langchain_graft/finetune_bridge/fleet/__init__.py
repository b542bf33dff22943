"""Adapters on many servers: loaded everywhere before a name means them."""
