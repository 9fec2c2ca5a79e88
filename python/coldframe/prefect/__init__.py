"""coldframe in Prefect: frames of results lie in a store, and Prefect's record holds references to them."""
