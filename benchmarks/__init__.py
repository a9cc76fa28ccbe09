"""What a search costs and finds, on real data, beside what else there is: ``python -m benchmarks``.

``tasks`` are what is searched, ``methods`` who searches, ``tabulate`` stores scores and costs of
many configurations once, ``replay`` runs the real race over such tables in milliseconds.
"""
