"""What a search costs and finds on real data, compared with others: ``python -m benchmarks``.

``tasks`` has the data, models and spaces, ``rules`` the searches, ``tabulate`` stores scores and
costs of many configurations once, ``replay`` runs the real race over such tables in milliseconds,
``live`` runs searches for real, ``questions`` asks, ``report`` fills in ``page.md``. ``measure``
has every clock, and how figures are shown. Every other file is a script of its own, whose figures a
page of ``docs/`` quotes.
"""
