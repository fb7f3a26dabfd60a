"""Models of other people's libraries, exported as these say, served as `lucarne inspect` says."""
