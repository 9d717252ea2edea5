"""Images of registries as archives: fetched by digest, for one architecture, the same bytes every time.

An image is taken as a recipe with nothing to make (``planned.py``): ledger, cache, depots and the import into a
runtime are then those of the images we assemble. Anonymous tokens only: nothing here knows a user's password.
"""
