"""Depots: everything an install needs in one signed directory or file, believed by its signatures wherever it lies.

::

    metadata/{N.root,timestamp,N.snapshot,N.targets}.json   a TUF repository; N.root.json from 1 on
    contents.json                                           what it is for (a target, as all that follows)
    fetched/<sha256[:16]>-<file>                            names as in the cache
    built/<recipe>-<key[:16]>/<file>                        names as in the cache; images of registries too
    ledger/<recipe>-<key[:16]>.json                         what the ledger says of each build
    apt/                                                    a flat repository: Packages, Release, *.deb

As one file it is the same as a ``.tar.zst``, metadata first.
"""
