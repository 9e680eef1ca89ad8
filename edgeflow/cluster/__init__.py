"""Work on other machines, through Dask distributed: what is sent, what comes back, and what happens when one dies."""
