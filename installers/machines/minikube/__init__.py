"""Machines that minikube makes: a Kubernetes in a virtual machine or container, on macOS or a developer's Linux.

Designed, not run: no minikube and no Mac was at hand. What is here follows minikube's sources and documented output,
and its tests talk to a stand-in.
"""
