"""The upstreams' side: which is asked, how often, and over which connections."""
