"""Run folders in object storage: `s3://`, `gs://`, `hf://`, over fsspec.

A run is filled in a folder of this machine, its spool, and sent from there while it goes on; what is read comes to the
same folder first. So nothing else in evalkit knows of object storage.
"""
