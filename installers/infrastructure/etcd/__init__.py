"""The etcd component."""
