"""A stateful simulator of the Couchbase cluster manager's REST API (see ../README.md)."""
