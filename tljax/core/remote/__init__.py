"""Files in an object store (gs://, s3://, all that fsspec knows): read through a copy here, a run's folder mirrored.

In here: `store` (what lies at an address, errors in words), `copies` (its copy in the cache), `mirror` (the folder of a
run: worked on in the copy, put back at every checkpoint). What reads or writes files knows paths of this machine alone.
"""
