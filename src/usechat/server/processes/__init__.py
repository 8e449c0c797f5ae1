"""The processes of `usechat serve`: started, watched and stopped."""
