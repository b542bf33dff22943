"""Cypher as text: read, checked and mended without a server."""
