"""Planet: searched through its Data API, bought from through its Orders API."""
