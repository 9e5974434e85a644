"""Each operator action and look-up, once: the API, the admin screen and the commands call it."""
