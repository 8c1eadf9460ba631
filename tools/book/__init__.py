"""The course as a static site that can be read and searched without a network: `make book`."""
