"""What a search costs and finds, on real data, beside what else there is: ``python -m benchmarks``.

``tasks`` are what is searched, ``rules`` who searches, ``tabulate`` stores scores and costs of many
configurations once, ``replay`` runs the real race over such tables in milliseconds, ``live`` runs
searches for real, ``questions`` asks, ``report`` fills in ``page.md``. ``measure`` has every
clock, and how figures are shown. Every other file is a script of its own, whose figures a page of
``docs/`` quotes.
"""
