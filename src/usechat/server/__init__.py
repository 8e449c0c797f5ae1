"""The server behind ``usechat serve``: settings, routes, keys, the built page."""
