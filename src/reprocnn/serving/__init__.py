"""Answer pictures over HTTP: the routes, their limits, the page, and the model that is served.

It knows values only: the command `serve` hands it the token, the limits, and where the model comes from. Its packages
are those of the extra `serve`.
"""
