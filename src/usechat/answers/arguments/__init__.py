"""Arguments: what `stream_text`, its like and `Answer.response` are given, checked where it is given."""
