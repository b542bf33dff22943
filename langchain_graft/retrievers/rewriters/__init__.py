"""Rewriters: a question to the queries that are searched beside it, by a chat model.

Each is a `Runnable[str, list[Query]]`. It gives no query when the model's reply holds none.
"""
