"""Rows into adapters: embeddings, query maps and generators, checked before and after."""
