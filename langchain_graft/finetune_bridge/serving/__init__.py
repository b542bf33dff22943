"""Adapters beside one base model in memory, chosen request by request."""
